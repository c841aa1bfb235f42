// Times forward and backward of a learner's step, as one JSON object a line:
//   ninja -C build step_bench && OMP_NUM_THREADS=2 build/bench/step_bench packing
// packing: families that share their trunk against the same sequences one by one.
// precision: bfloat16 against float32 on a wide model whose adapters are trained.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/random.h"
#include "bench/measure.h"
#include "model/policy.h"

namespace flame {
namespace {

constexpr int kRepeats = 3;

// Returns a Llama of 27 M parameters.
PolicyConfig MediumConfig() {
  PolicyConfig config;
  config.vocab_size = 2048, config.d_model = 512, config.num_layers = 8, config.d_ff = 1536;
  config.num_heads = 8, config.num_kv_heads = 4, config.head_dim = 64;
  return config;
}

// Returns two layers of Llama 3.1 8B, with a small vocabulary.
PolicyConfig WideConfig() {
  PolicyConfig config = MediumConfig();
  config.d_model = 4096, config.num_layers = 2, config.d_ff = 14336;
  config.num_heads = 32, config.num_kv_heads = 8, config.head_dim = 128;
  return config;
}

Family DrawFamily(RandomStream* random, int64_t trunk, int64_t branches, int64_t size) {
  const auto draw = [&](int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(static_cast<int32_t>(random->Below(2048)));
    }
    return tokens;
  };
  Family family{draw(trunk), {}};
  for (int64_t b = 0; b < branches; ++b) family.branches.push_back({draw(size), 0});
  return family;
}

void Step(const Policy& policy, const FamilyBatch& batch) {
  const at::Tensor hidden = policy.Hidden(batch, {});
  (-policy.LogProbs(hidden, batch.sources, batch.targets).mean()).backward();
}

void ReportPacking() {
  constexpr int64_t kTrunk = 512, kBranch = 32, kGroup = 8, kFamilies = 4;
  Policy policy = Policy::Random(MediumConfig(), at::kFloat, 1);
  policy.SelectTrainable("full");
  RandomStream random(1, kInit);
  std::vector<Family> families, alone;
  for (int64_t f = 0; f < kFamilies; ++f) {
    families.push_back(DrawFamily(&random, kTrunk, kGroup, kBranch));
    for (const Branch& branch : families.back().branches) {
      alone.push_back({families.back().trunk, {branch}});
    }
  }
  // Makes batches of about as many tokens as the packed one.
  std::vector<FamilyBatch> unshared;
  for (auto begin = alone.begin(); begin != alone.end(); begin += kGroup) {
    unshared.push_back(PackFamilies({begin, begin + kGroup}));
  }
  const FamilyBatch packed = PackFamilies(families), one = PackFamilies({families[0]});
  const std::vector<double> seconds =
      MedianSeconds({[&] { Step(policy, packed); },
                     [&] {
                       for (const FamilyBatch& batch : unshared) Step(policy, batch);
                     },
                     [&] { Step(policy, one); }, [&] { Step(policy, unshared[0]); }},
                    kRepeats);
  const double bound =
      static_cast<double>(kGroup * (kTrunk + kBranch)) / (kTrunk + kGroup * kBranch);
  const auto report = [&](const char* what, double shared, double whole) {
    std::cout << nlohmann::json{{"what", what},
                                {"dtype", "float32"},
                                {"threads", at::get_num_threads()},
                                {"packed_seconds", shared},
                                {"unshared_seconds", whole},
                                {"speedup", whole / shared},
                                {"token_bound", bound},
                                {"share_of_bound", whole / shared / bound}}
              << std::endl;
  };
  report("4 families, P=512 R=32 G=8", seconds[0], seconds[1]);
  report("1 family, P=512 R=32 G=8", seconds[2], seconds[3]);
}

void ReportPrecision() {
  std::vector<Policy> policies;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    policies.push_back(Policy::Random(WideConfig(), dtype, 1));
    policies.back().AddAdapters({}, 1);
    policies.back().SelectTrainable("adapters");
  }
  RandomStream random(1, kInit);
  const FamilyBatch batch = PackFamilies({DrawFamily(&random, 512, 8, 32),  //
                                          DrawFamily(&random, 512, 8, 32)});
  const std::vector<double> seconds = MedianSeconds(
      {[&] { Step(policies[0], batch); }, [&] { Step(policies[1], batch); }}, kRepeats);
  std::cout << nlohmann::json{{"what",
                               "2 layers of Llama 3.1 8B's widths, 2 families P=512 R=32 G=8"},
                              {"threads", at::get_num_threads()},
                              {"float32_seconds", seconds[0]},
                              {"bfloat16_seconds", seconds[1]},
                              {"speedup", seconds[0] / seconds[1]}}
            << std::endl;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  const std::string what = argc == 2 ? argv[1] : "";
  if (what == "packing") {
    flame::ReportPacking();
  } else if (what == "precision") {
    flame::ReportPrecision();
  } else {
    std::fprintf(stderr, "usage: step_bench packing | precision\n");
    return 2;
  }
  return 0;
}
