// The materials that a run's stages read, found through the run's config.
#ifndef FLAME_LAUNCH_RUN_RUN_MATERIALS_H_
#define FLAME_LAUNCH_RUN_RUN_MATERIALS_H_

#include <cstdint>
#include <filesystem>
#include <memory>

#include "data/corpus.h"
#include "launch/config/config.h"
#include "recommend/materials.h"

namespace flame {

// Reads run.dir's corpus.h5 and base/tokenizer.json, and the prompt templates: prompts.file or
// those that come with the program (LoadMaterials).
std::unique_ptr<Materials> MaterialsOfRun(const Config& config);
// The same with another corpus, which has the run's codes. `patient_slot` as of LoadMaterials.
std::unique_ptr<Materials> MaterialsOfRun(const Config& config, Corpus corpus,
                                          bool patient_slot = true);

// Returns max_position_embeddings of the run's base model: the most tokens of a sequence.
int64_t MaxPositions(const Config& config);

// Returns the corpus with the truths that the run's tasks were made with: if the run has
// tasks/feedback.jsonl, the decisions in it are applied.
Corpus TruthsOfRun(const Config& config, const Corpus& corpus);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_RUN_MATERIALS_H_
