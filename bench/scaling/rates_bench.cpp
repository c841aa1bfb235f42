// What a rank's arithmetic takes while two of a host's four ranks are at it and the others wait for
// a message, as JSON:
//   ninja -C build rates_bench
//   mpirun -np 4 --mca mpi_yield_when_idle 1 build/bench/rates_bench 2
// learn: the pass of a GRPO learner over one micro-batch (reference, forward, backward, adapters
// trained); prefill: prompts into a decoder; decode: one token of every row, its choice too.
// bench/scaling/rates.py fits costs to them.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"
#include "launch/tensor_memory.h"
#include "model/decoder.h"
#include "model/policy.h"
#include "rollout/sampler.h"

namespace flame {
namespace {

constexpr int kRounds = 5;
constexpr int64_t kVocab = 1024;
constexpr int kDecoded = 16;  // tokens a row

struct LearnShape {
  int64_t families, trunk, branches, tokens;
};
// Lengths that no vector's width divides, as those of real prompts.
constexpr LearnShape kLearn[] = {{4, 61, 4, 15},  {5, 101, 8, 31}, {2, 251, 8, 45},
                                 {4, 117, 8, 31}, {1, 771, 8, 30}, {8, 67, 8, 47}};

struct DecodeShape {
  int64_t trunks, trunk, rows;
};
constexpr DecodeShape kDecode[] = {
    {1, 61, 4}, {8, 67, 64}, {4, 251, 16}, {16, 117, 128}, {8, 509, 64}};

std::vector<int32_t> Draw(RandomStream* random, int64_t count) {
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random->Below(kVocab));
  return tokens;
}

Policy MakePolicy() {
  Policy policy = Policy::Random(PolicyPreset("small", kVocab), at::kFloat, 1);
  policy.AddAdapters({}, 1);
  policy.SelectTrainable("adapters");
  return policy;
}

// As the plan counts them (launch/plan_estimate.h, MultipliedWeights).
nlohmann::json WeightsOf(const Policy& policy) {
  double frozen = 0, trainable = 0;
  for (const auto& [name, tensor] : policy.parameters()) {
    if (name.find(".layers.") == std::string::npos) continue;
    (tensor.requires_grad() ? trainable : frozen) += static_cast<double>(tensor.numel());
  }
  const PolicyConfig& c = policy.config();
  return {{"frozen", frozen},
          {"trainable", trainable},
          {"head", c.vocab_size * c.d_model},
          {"attention", c.num_heads * c.head_dim * c.num_layers}};
}

double Pairs(const LearnShape& s) {
  const auto p = static_cast<double>(s.trunk), r = static_cast<double>(s.tokens);
  const auto g = static_cast<double>(s.branches);
  return static_cast<double>(s.families) * (p * (p + 1) / 2 + g * (r * p + r * (r + 1) / 2));
}

// What is timed, and how its row begins; seconds are divided by `calls`.
struct Point {
  nlohmann::json row;
  std::function<void()> action;
  int calls = 1;
};

// The rows of all points with their seconds: means over rounds in which each runs once, in turns,
// so that a noisy machine is noisy for all; before them a round that does not count. Until the last
// rank is done, as a step's ranks wait for each other. Means, for a step adds up its interruptions
// too.
nlohmann::json Timed(const std::vector<Point>& points, Communicator* world) {
  std::vector<double> seconds(points.size());
  for (int round = 0; round <= kRounds; ++round) {
    for (size_t p = 0; p < points.size(); ++p) {
      world->Barrier();
      const auto start = std::chrono::steady_clock::now();
      points[p].action();
      world->Barrier();
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      if (round > 0) seconds[p] += passed.count() / kRounds / points[p].calls;
    }
  }
  nlohmann::json rows;
  for (size_t p = 0; p < points.size(); ++p) {
    rows.push_back(points[p].row);
    rows.back()["seconds"] = seconds[p];
  }
  return rows;
}

Point Learn(const Policy& policy, const LearnShape& shape) {
  RandomStream random(1, kInit);
  std::vector<Family> families;
  for (int64_t f = 0; f < shape.families; ++f) {
    families.push_back({Draw(&random, shape.trunk), {}});
    for (int64_t b = 0; b < shape.branches; ++b) {
      families.back().branches.push_back({Draw(&random, shape.tokens), 0});
    }
  }
  const FamilyBatch batch = PackFamilies(families);
  const auto log_probs = [&policy, batch](const ForwardOptions& options, at::Tensor* entropy) {
    const at::Tensor hidden = policy.Hidden(batch, options);
    return policy.LogProbs(hidden, batch.sources, batch.targets, 1, entropy);
  };
  return {{{"tokens", batch.tokens.numel()},
           {"targets", batch.targets.numel()},
           {"pairs", Pairs(shape)}},
          [log_probs] {
            {
              const c10::NoGradGuard no_grad;
              log_probs({.adapters = false}, nullptr);
            }
            at::Tensor entropy;
            (-log_probs({.dropout_seed = 1}, &entropy).mean()).backward();
          }};
}

// One token of every row of a decoder whose prompts are there.
struct Decoding {
  Decoding(const Policy& policy, const DecodeShape& shape)
      : decoder(policy, {shape.rows, shape.trunks, shape.trunk, kDecoded}),
        trunks(shape.trunks),
        places(shape.trunks),
        slots(shape.rows) {
    RandomStream random(2, kInit);
    for (auto& trunk : trunks) trunk = Draw(&random, shape.trunk);
    std::iota(places.begin(), places.end(), 0);
    std::iota(slots.begin(), slots.end(), 0);
  }

  void Prefill() { decoder.Prefill(places, trunks); }

  void Decode() {
    std::vector<int64_t> tokens = slots;
    for (const int64_t slot : slots) decoder.Begin(slot, slot % std::ssize(places));
    for (int64_t t = 0; t < kDecoded; ++t) {
      const at::Tensor logits = decoder.Step(slots, tokens);
      const float* row = logits.const_data_ptr<float>();
      for (int64_t& token : tokens) {
        token = ChooseToken(row, kVocab, {}, random.Uniform()).token;
        row += kVocab;
      }
    }
  }

  RandomStream random{3, kSampling};
  Decoder decoder;
  std::vector<std::vector<int32_t>> trunks;
  std::vector<int64_t> places, slots;
};

// All ranks of `computing`.
void Measure(Communicator* computing, int ranks) {
  Policy policy = MakePolicy();
  std::vector<Point> learn, prefill, decode;
  for (const LearnShape& shape : kLearn) learn.push_back(Learn(policy, shape));
  for (const DecodeShape& shape : kDecode) {
    const auto decoding = std::make_shared<Decoding>(policy, shape);
    const auto count = static_cast<double>(shape.trunks), p = static_cast<double>(shape.trunk);
    prefill.push_back(
        {{{"tokens", count * p}, {"targets", count}, {"pairs", count * p * (p + 1) / 2}},
         [decoding] { decoding->Prefill(); }});
    decode.push_back({{{"rows", shape.rows}, {"context", p + kDecoded / 2}},
                      [decoding] { decoding->Decode(); },
                      kDecoded});
  }
  std::vector<nlohmann::json> rows;
  for (const auto* points : {&learn, &prefill, &decode}) rows.push_back(Timed(*points, computing));
  if (computing->rank() > 0) return;
  std::cout << nlohmann::json{{"what", "preset small, float32, a thread a rank"},
                              {"computing", computing->size()},
                              {"ranks", ranks},
                              {"weights", WeightsOf(policy)},
                              {"learn", rows[0]},
                              {"prefill", rows[1]},
                              {"decode", rows[2]}}
            << "\n";
}

void Run(Communicator* world, int count) {
  constexpr int kDoneTag = 1;
  if (count < 1 || count > world->size()) {
    throw UsageError("expected 1 to ", world->size(), " ranks that compute, found ", count);
  }
  const bool computes = world->rank() < count;
  const auto computing = world->Split(computes ? 0 : 1);
  if (!computes) {
    world->Receive(0, kDoneTag);
    return;
  }
  Measure(computing.get(), world->size());
  if (world->rank() > 0) return;
  for (int rank = count; rank < world->size(); ++rank) world->Send("", rank, kDoneTag);
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  at::set_num_threads(1);
  flame::KeepLargeBlocksApart();  // as the program does: fresh pages cost time
  try {
    flame::MpiSession session(std::chrono::minutes(5));
    const auto world = session.World();
    flame::Run(world.get(), argc > 1 ? std::stoi(argv[1]) : world->size());
  } catch (const std::exception& error) {
    flame::AbortJob(4, error.what());
  }
  return 0;
}
