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

// Writes tokenizer and policy to `folder`, whole or not at all.
void WriteBaseModel(const Config& config, const Corpus& corpus,
                    const std::filesystem::path& folder);

// The policy of a model folder in model.dtype, quantised as model.quantize says, for model.device:
// opened (Policy::Open), or read whole.
Policy OpenModel(const Config& config, const std::filesystem::path& folder);
Policy LoadModel(const Config& config, const std::filesystem::path& folder);

// A model folder: policy and tokenizer side by side, as transformers expects them.
// Where learners hold it together all of them call this, and one writes.
void SaveModel(const Policy& policy, const Tokenizer& tokenizer,
               const std::filesystem::path& folder, bool writes = true);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_BASE_MODEL_H_
