// The model that SFT starts from: a pretrained directory or a random preset, with its tokenizer and
// entity slots.
#ifndef FLAME_LAUNCH_RUN_BASE_MODEL_H_
#define FLAME_LAUNCH_RUN_BASE_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/prompts/entity_tokens.h"
#include "launch/config/config.h"
#include "model/policy.h"
#include "tokenizer/tokenizer.h"

namespace flame {

// The slots of one kind of entities: `count`: number of codes or visits of the corpus; `dim`: width
// of their vectors; `hidden`: width of the projector's middle layer.
struct SlotShape {
  std::string name;     // "diagnosis", "procedure", "drug", "visit"
  std::string encoder;  // of EncoderOptions
  int64_t count = 0, dim = 0, hidden = 0;
  EntityKind kind = EntityKind::kDrug;  // of codes and drugs
  bool of_visits() const;               // true: EntitySlots::borrowed
};
struct EntityCounts {
  int64_t diagnoses = 0, procedures = 0, drugs = 0, visits = 0;
};
EntityCounts CountsOfEntities(const Corpus& corpus);
// Returns the kinds that have slots (encoder not "none"), that of visits last.
std::vector<SlotShape> SlotShapes(const Config& config, const EntityCounts& counts,
                                  int64_t d_model);

// Writes tokenizer and policy to `folder`, completely or not at all, and before them the visits'
// vectors, if encoders.patient names a file. Throws DataError if the tokenizer has more tokens than
// the embedding table has rows, if an encoder file does not fit the corpus, or if prompts have no
// place for the patient's slot.
void WriteBaseModel(const Config& config, const Corpus& corpus,
                    const std::filesystem::path& folder);

// Opens a model folder's policy (OpenPolicy) in model.dtype, quantised as model.quantize says,
// for model.device, with the visits of `corpus` (FillVisits).
Policy OpenModel(const Config& config, const Corpus& corpus, const std::filesystem::path& folder);
// Opens the policy in the same way and reads all of it.
Policy LoadModel(const Config& config, const Corpus& corpus, const std::filesystem::path& folder);

// Writes a model folder: policy and tokenizer side by side, as transformers expects them. If the
// policy is split over learners, all of them call this, and one has `writes` true.
void SaveModel(const Policy& policy, const Tokenizer& tokenizer,
               const std::filesystem::path& folder, bool writes = true);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_BASE_MODEL_H_
