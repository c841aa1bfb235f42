// Times the learner's hot path at the size of the `tiny` preset:
//   ninja -C build family_bench && OMP_NUM_THREADS=2 build/bench/family_bench
#include <ATen/TensorOperators.h>
#include <benchmark/benchmark.h>

#include "base/random.h"
#include "model/policy.h"

namespace flame {
namespace {

constexpr int64_t kVocabSize = 1500;

std::vector<int32_t> DrawTokens(RandomStream* random, int64_t size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < size; ++i) {
    tokens.push_back(static_cast<int32_t>(random->Below(kVocabSize)));
  }
  return tokens;
}

// Returns the classifier's families: trunks of 80 to 120 tokens, 48 branches of 3 tokens, the last
// asked for.
std::vector<Family> ClassifierFamilies(int64_t count) {
  RandomStream random(1, kInit);
  std::vector<Family> families;
  for (int64_t f = 0; f < count; ++f) {
    Family family{DrawTokens(&random, 80 + static_cast<int64_t>(random.Below(41))), {}};
    for (int b = 0; b < 48; ++b) family.branches.push_back({DrawTokens(&random, 3), 2});
    families.push_back(std::move(family));
  }
  return families;
}

void TrainStep(benchmark::State& state) {
  Policy policy = Policy::Random(PolicyPreset("tiny", kVocabSize), at::kFloat, 1);
  auto trainable = policy.SelectTrainable("full");
  const FamilyBatch batch = PackFamilies(ClassifierFamilies(state.range(0)));
  ForwardOptions options;
  options.recompute = state.range(1) != 0;
  for (auto _ : state) {
    const at::Tensor hidden = policy.Hidden(batch, options);
    (-policy.LogProbs(hidden, batch.sources, batch.targets).mean()).backward();
    for (auto& [name, tensor] : trainable) tensor.mutable_grad().reset();
  }
  const auto done = static_cast<double>(state.iterations());
  state.counters["families/s"] =
      benchmark::Counter(done * static_cast<double>(state.range(0)), benchmark::Counter::kIsRate);
  state.counters["tokens/s"] = benchmark::Counter(done * static_cast<double>(batch.tokens.size(0)),
                                                  benchmark::Counter::kIsRate);
}
BENCHMARK(TrainStep)
    ->ArgNames({"families", "recompute"})
    ->ArgsProduct({{8, 64}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flame

BENCHMARK_MAIN();
