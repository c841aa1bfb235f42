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

// The slots of one kind of entities: `count`: number of codes of the corpus; `dim`: width of their
// vectors; `hidden`: width of the projector's middle layer.
struct SlotShape {
  EntityKind kind = EntityKind::kDrug;
  std::string name;     // "diagnosis", "procedure", "drug"
  std::string encoder;  // of EncoderOptions
  int64_t count = 0, dim = 0, hidden = 0;
};
struct EntityCounts {
  int64_t diagnoses = 0, procedures = 0, drugs = 0;
};
// Returns the kinds that have slots (encoder not "none").
std::vector<SlotShape> SlotShapes(const Config& config, const EntityCounts& counts,
                                  int64_t d_model);

// Writes tokenizer and policy to `folder`, completely or not at all. Throws DataError if the
// tokenizer has more tokens than the embedding table has rows, or an encoder file does not fit the
// corpus.
void WriteBaseModel(const Config& config, const Corpus& corpus,
                    const std::filesystem::path& folder);

// Opens a model folder's policy (OpenPolicy) in model.dtype, quantised as model.quantize says,
// for model.device.
Policy OpenModel(const Config& config, const std::filesystem::path& folder);
// Opens the policy in the same way and reads all of it.
Policy LoadModel(const Config& config, const std::filesystem::path& folder);

// Writes a model folder: policy and tokenizer side by side, as transformers expects them. If the
// policy is split over learners, all of them call this, and one has `writes` true.
void SaveModel(const Policy& policy, const Tokenizer& tokenizer,
               const std::filesystem::path& folder, bool writes = true);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_BASE_MODEL_H_
