// A hospital of MIMIC-III's size, with lists to score.
#ifndef FLAME_BENCH_REWARD_CASE_H_
#define FLAME_BENCH_REWARD_CASE_H_

#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/random.h"
#include "data/prompts/prompt.h"
#include "reward/service.h"

namespace flame {

inline constexpr int32_t kDrugs = 151;

inline Corpus MakeCorpus() {
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

inline Tokenizer MakeTokenizer(const Corpus& corpus) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("flame-reward-bench-" + std::to_string(getpid()) + ".json");
  TrainTokenizer(corpus.drugs.titles, 400, file);
  Tokenizer tokenizer = Tokenizer::Load(file);
  std::filesystem::remove(file);
  return tokenizer;
}

// Returns a group of 8 lists of `lines` lines, added to 19 drugs.
inline ScoreRequest MakeGroup(const Corpus& corpus, const Tokenizer& tokenizer, int64_t lines,
                              uint64_t seed) {
  RandomStream random(seed);
  ScoreRequest request{0, 0, Edit::kAdd, {}, {}};
  for (int32_t drug = 0; drug < kDrugs; drug += 8) request.input.push_back(drug);
  for (int member = 0; member < 8; ++member) {
    std::string text;
    for (int64_t line = 0; line < lines; ++line) {
      text += corpus.drugs.titles[random.Below(kDrugs)] + "\n";
    }
    request.completions.push_back(tokenizer.Encode(text));
    request.completions.back().push_back(tokenizer.eos_id());
  }
  return request;
}

}  // namespace flame

#endif  // FLAME_BENCH_REWARD_CASE_H_
