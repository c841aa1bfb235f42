// Measures scored states a second: one core of a reward rank on lists of MIMIC-III's size (151
// drugs, 20 a visit, groups of 8, lists of 4, 20 and 32 lines), with tokens of a few bytes.
#include <benchmark/benchmark.h>

#include "bench/reward_case.h"

namespace flame {
namespace {

void BM_Score(benchmark::State& state) {
  const Corpus corpus = MakeCorpus();
  const Tokenizer tokenizer = MakeTokenizer(corpus);
  const Scorer scorer(corpus, tokenizer, tokenizer.eos_id(), {});
  const ScoreRequest request = MakeGroup(corpus, tokenizer, state.range(0), 2);
  int64_t tokens = 0;
  for (const auto& completion : request.completions) {
    tokens += static_cast<int64_t>(completion.size());
  }
  for (auto _ : state) benchmark::DoNotOptimize(scorer.Score(request));
  state.counters["states"] =
      benchmark::Counter(static_cast<double>(state.iterations() * 8 * (state.range(0) + 1)),
                         benchmark::Counter::kIsRate);
  state.counters["tokens"] = benchmark::Counter(static_cast<double>(state.iterations() * tokens),
                                                benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Score)->Arg(4)->Arg(20)->Arg(32);

}  // namespace
}  // namespace flame

BENCHMARK_MAIN();
