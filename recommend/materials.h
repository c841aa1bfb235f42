// What every stage after `prepare` reads: the corpus, the tokenizer with its slots, the prompts.
#ifndef FLAME_LAUNCH_MATERIALS_H_
#define FLAME_LAUNCH_MATERIALS_H_

#include <memory>

#include "data/corpus.h"
#include "data/prompts/prompt.h"
#include "launch/run/config.h"
#include "tokenizer/tokenizer.h"

namespace flame {

struct Materials {
  Corpus corpus;
  Tokenizer tokenizer;
  EntityTokens entities;
  std::unique_ptr<PromptBuilder> prompts;  // refers to corpus and tokenizer
};

// The templates' file: prompts.file, or the one that comes with the program.
std::filesystem::path PromptFile(const Config& config);

// Reads run.dir's corpus.h5 and base/tokenizer.json.
std::unique_ptr<Materials> LoadMaterials(const Config& config);

// The corpus with the truths that the run's tasks were made with: tasks/feedback.jsonl's where it
// is there.
Corpus TruthsOf(const Config& config, const Corpus& corpus);

// Indices of the training visits that the classifier trains on, and of those kept out of it
// (tasks.errors: holdout), whole patients at a time.
struct TrainingVisits {
  std::vector<int32_t> classifier, held_out;
};
TrainingVisits SplitTraining(const Config& config, const Corpus& corpus);

}  // namespace flame

#endif  // FLAME_LAUNCH_MATERIALS_H_
