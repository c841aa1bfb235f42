// The materials that every stage after `prepare` reads: corpus, tokenizer with slots, prompts.
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

// Reads the tokenizer.json with the corpus's slots and the prompt templates. `templates` is YAML.
// Throws DataError if a file is missing or damaged, or if slots and corpus do not match.
// `patient_slot` false: prompts without the patient's slot, even if the tokenizer has one.
std::unique_ptr<Materials> LoadMaterials(Corpus corpus, const std::filesystem::path& tokenizer,
                                         const std::filesystem::path& templates,
                                         bool patient_slot = true);

// Returns the lines that a completion may consist of if options.constrain is "drugs"; nullopt if it
// is "none".
std::optional<LineTrie> AllowedLines(const SamplingOptions& options, const Materials& materials);

// Indices into Corpus::visits.
struct TrainingVisits {
  std::vector<int32_t> classifier, held_out;
};
// Splits the training visits into those that the classifier trains on and, if options.errors is
// "holdout", those held out from it. All visits of a patient fall on the same side. Throws
// DataError if no visit is left for the classifier.
TrainingVisits SplitTraining(const TaskOptions& options, const Corpus& corpus, uint64_t seed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_MATERIALS_H_
