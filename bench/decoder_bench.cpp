// Times the decoder at the size of the comparison in bench/peers/generation.py:
//   ninja -C build decoder_bench && OMP_NUM_THREADS=2 build/bench/decoder_bench
#include <benchmark/benchmark.h>

#include "base/random.h"
#include "model/decoder.h"
#include "rollout/completion.h"

namespace flame {
namespace {

constexpr int64_t kTrunk = 512, kTokens = 32, kGroup = 8;

Policy MakePolicy(int64_t vocab_size) {
  PolicyConfig config;
  config.vocab_size = vocab_size;
  config.d_model = 512;
  config.num_layers = 8;
  config.num_heads = 8;
  config.num_kv_heads = 4;
  config.head_dim = 64;
  config.d_ff = 1536;
  return Policy::Random(config, at::kFloat, 1);
}

std::vector<std::vector<int32_t>> DrawTrunks(int64_t count, int64_t vocab_size) {
  RandomStream random(2, kInit);
  std::vector<std::vector<int32_t>> trunks(count);
  for (auto& trunk : trunks) {
    for (int64_t i = 0; i < kTrunk; ++i) {
      trunk.push_back(static_cast<int32_t>(random.Below(vocab_size)));
    }
  }
  return trunks;
}

void Count(benchmark::State& state, int64_t tokens) {
  state.counters["tokens/s"] = benchmark::Counter(static_cast<double>(state.iterations() * tokens),
                                                  benchmark::Counter::kIsRate);
}

void Prefill(benchmark::State& state) {
  const Policy policy = MakePolicy(2048);
  const auto trunks = DrawTrunks(4, 2048);
  Decoder decoder(policy, {4, 4, kTrunk, kTokens});
  for (auto _ : state) decoder.Prefill({0, 1, 2, 3}, trunks);
  Count(state, 4 * kTrunk);
}
BENCHMARK(Prefill)->UseRealTime()->Unit(benchmark::kMillisecond);

void Step(benchmark::State& state) {
  const int64_t rows = state.range(0), places = (rows + kGroup - 1) / kGroup;
  const Policy policy = MakePolicy(2048);
  Decoder decoder(policy, {rows, places, kTrunk, kTokens});
  std::vector<int64_t> place_list, slots;
  for (int64_t p = 0; p < places; ++p) place_list.push_back(p);
  for (int64_t r = 0; r < rows; ++r) slots.push_back(r);
  decoder.Prefill(place_list, DrawTrunks(places, 2048));
  int64_t fed = kTokens;
  for (auto _ : state) {
    if (fed == kTokens) {
      for (int64_t r = 0; r < rows; ++r) decoder.Begin(r, r / kGroup);
      fed = 0;
    }
    decoder.Step(slots, slots);
    ++fed;
  }
  Count(state, rows);
}
BENCHMARK(Step)->ArgName("rows")->Arg(1)->Arg(8)->Arg(32)->Arg(256)->UseRealTime()->Unit(
    benchmark::kMillisecond);

// Times one token's choice; top_p is given in hundredths.
void Choose(benchmark::State& state) {
  RandomStream random(3, kInit);
  std::vector<float> logits(state.range(0));
  for (float& logit : logits) logit = static_cast<float>(3 * random.Normal());
  const SamplingRule rule = {1, 0, static_cast<double>(state.range(1)) / 100};
  for (auto _ : state) {
    benchmark::DoNotOptimize(ChooseToken(logits.data(), state.range(0), rule, random.Uniform()));
  }
}
BENCHMARK(Choose)
    ->ArgNames({"vocabulary", "top_p"})
    ->ArgsProduct({{2048, 128256}, {100, 95}})
    ->Unit(benchmark::kMicrosecond);

// Times 32 completions of 32 tokens from 4 prompts, prompts included.
void Complete(benchmark::State& state) {
  const Policy policy = MakePolicy(2048);
  std::vector<CompletionPrompt> prompts;
  for (const auto& trunk : DrawTrunks(4, 2048)) {
    prompts.push_back({trunk, static_cast<int64_t>(prompts.size())});
  }
  CompletionOptions options;
  options.members = kGroup;
  options.max_tokens = kTokens;
  for (auto _ : state) CompletePrompts(policy, prompts, options);
  Count(state, 4 * kGroup * kTokens);
}
BENCHMARK(Complete)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flame

BENCHMARK_MAIN();
