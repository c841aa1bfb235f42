// Scored states a second: one core of a reward rank on lists of MIMIC-III's size (151 drugs, 20 a
// visit, groups of 8, lists of 4 and 32 lines), tokens of a few bytes.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/random.h"
#include "data/prompt.h"
#include "reward/service.h"

namespace flame {
namespace {

constexpr int32_t kDrugs = 151;

Corpus MakeCorpus() {
  RandomStream random(1);
  Corpus corpus;
  corpus.ddi = DdiGraph(kDrugs);
  for (int32_t drug = 0; drug < kDrugs; ++drug) {
    std::string name = "drug ";
    for (int i = 0; i < 8; ++i) name += static_cast<char>('a' + random.Below(26));
    corpus.drugs.codes.push_back("DB" + std::to_string(drug));
    corpus.drugs.titles.push_back(name);
    for (int32_t other = 0; other < drug; ++other) {
      if (random.Bernoulli(0.1)) corpus.ddi.Add(drug, other);
    }
  }
  corpus.visits.emplace_back();
  for (int32_t drug = 0; drug < kDrugs; drug += 7) corpus.visits[0].drugs.push_back(drug);
  return corpus;
}

Tokenizer MakeTokenizer(const Corpus& corpus) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("flame-reward-bench-" + std::to_string(getpid()) + ".json");
  TrainTokenizer(corpus.drugs.titles, 400, file);
  Tokenizer tokenizer = Tokenizer::Load(file);
  std::filesystem::remove(file);
  return tokenizer;
}

void BM_Score(benchmark::State& state) {
  const Corpus corpus = MakeCorpus();
  const Tokenizer tokenizer = MakeTokenizer(corpus);
  const Scorer scorer(corpus, tokenizer, tokenizer.eos_id(), {});
  RandomStream random(2);
  ScoreRequest request{0, 0, Edit::kAdd, {}, {}};
  for (int32_t drug = 0; drug < kDrugs; drug += 8) request.input.push_back(drug);
  int64_t tokens = 0;
  for (int member = 0; member < 8; ++member) {
    std::string text;
    for (int64_t line = 0; line < state.range(0); ++line) {
      text += corpus.drugs.titles[random.Below(kDrugs)] + "\n";
    }
    request.completions.push_back(tokenizer.Encode(text));
    request.completions.back().push_back(tokenizer.eos_id());
    tokens += static_cast<int64_t>(request.completions.back().size());
  }
  for (auto _ : state) benchmark::DoNotOptimize(scorer.Score(request));
  state.counters["states"] =
      benchmark::Counter(static_cast<double>(state.iterations() * 8 * (state.range(0) + 1)),
                         benchmark::Counter::kIsRate);
  state.counters["tokens"] = benchmark::Counter(static_cast<double>(state.iterations() * tokens),
                                                benchmark::Counter::kIsRate);
}
BENCHMARK(BM_Score)->Arg(4)->Arg(32);

}  // namespace
}  // namespace flame

BENCHMARK_MAIN();
