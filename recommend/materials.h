// What every stage after `prepare` reads: the corpus, the tokenizer with its slots, the prompts.
#ifndef FLAME_RECOMMEND_MATERIALS_H_
#define FLAME_RECOMMEND_MATERIALS_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "data/corpus.h"
#include "data/options.h"
#include "data/prompts/prompt.h"
#include "rollout/line_trie.h"
#include "rollout/options.h"
#include "tokenizer/tokenizer.h"

namespace flame {

struct Materials {
  Corpus corpus;
  Tokenizer tokenizer;
  EntityTokens entities;
  std::unique_ptr<PromptBuilder> prompts;  // refers to corpus and tokenizer
};

// Reads a corpus, the tokenizer.json that has its slots, and the prompts' templates (YAML). Throws
// DataError on a file that is missing or damaged, or where slots and corpus do not fit.
std::unique_ptr<Materials> LoadMaterials(const std::filesystem::path& corpus,
                                         const std::filesystem::path& tokenizer,
                                         const std::filesystem::path& templates);

// The lines that a completion may consist of where options.constrain is "drugs"; nothing where it
// is "none".
std::optional<LineTrie> AllowedLines(const SamplingOptions& options, const Materials& materials);

// Indices of the training visits that the classifier trains on, and of those kept out of it
// (options.errors "holdout"), whole patients at a time. Throws DataError where none is left for the
// classifier.
struct TrainingVisits {
  std::vector<int32_t> classifier, held_out;
};
TrainingVisits SplitTraining(const TaskOptions& options, const Corpus& corpus, uint64_t seed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_MATERIALS_H_
