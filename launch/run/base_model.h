// The model that SFT starts from: a pretrained directory or a random preset, with its tokenizer and
// entity slots.
#ifndef FLAME_LAUNCH_RUN_BASE_MODEL_H_
#define FLAME_LAUNCH_RUN_BASE_MODEL_H_

#include <filesystem>

#include "data/corpus.h"
#include "launch/run/config.h"
#include "model/policy.h"
#include "tokenizer/tokenizer.h"

namespace flame {

// Writes tokenizer and policy to `folder`, completely or not at all. Throws DataError if the
// tokenizer has more tokens than the embedding table has rows, or an encoder file does not fit the
// corpus.
void WriteBaseModel(const Config& config, const Corpus& corpus,
                    const std::filesystem::path& folder);

// Opens a model folder's policy (Policy::Open) in model.dtype, quantised as model.quantize says,
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
