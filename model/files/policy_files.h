// Reads and writes policies as Hugging Face and peft folders.
#ifndef FLAME_MODEL_FILES_POLICY_FILES_H_
#define FLAME_MODEL_FILES_POLICY_FILES_H_

#include <filesystem>
#include <optional>

#include "model/kernels/quantized.h"
#include "model/policy.h"

namespace flame {

// Reads config.json, model.safetensors (or the sharded index), and the entities and adapters that
// SavePolicy wrote, if any. Checks every tensor's name, shape and dtype; throws one DataError that
// lists all faults. `quantization` quantises the blocks' linear maps as they are read, so that
// memory never holds them whole in `dtype`.
Policy LoadPolicy(const std::filesystem::path& folder, at::ScalarType dtype,
                  Quantization quantization = Quantization::kNone);

// Like LoadPolicy, but leaves the base's plain weights in their files: parameters() has their
// names, shapes and types, but no values. ReadStored reads them all; ShardedParameters reads each
// rank's shard. Merging and materialising leave them in the files too.
Policy OpenPolicy(const std::filesystem::path& folder, at::ScalarType dtype,
                  Quantization quantization = Quantization::kNone);

// Writes config.json and model.safetensors; adapters, if any, as adapter_config.json and
// adapter_model.safetensors in peft's format; entities as entities.safetensors. The folder appears
// whole or not at all. Quantised maps are written dequantised; loading them with the same
// Quantization gives the same bits again. quantization.json names the linear maps of the blocks
// that were not quantised, if any. If the parameters are spread over ranks, one rank calls
// SavePolicy and the others JoinSavePolicy.
struct SaveOptions {
  // The type of the base's weights, float16 too; none: the policy's own. Values are rounded once.
  std::optional<at::ScalarType> dtype;
  // Weights of more bytes are written to several files and model.safetensors.index.json.
  int64_t shard_bytes = 5'000'000'000;
};
void SavePolicy(const Policy& policy, const std::filesystem::path& folder,
                const SaveOptions& options = {});
void JoinSavePolicy(const Policy& policy);

// Loads the adapters of a folder in peft's format, ours or another program's. Throws DataError if
// they do not fit this policy or use an unsupported feature (DoRA, rsLoRA, a rank for each map),
// UsageError if the policy has adapters already.
void LoadPeftAdapters(const std::filesystem::path& folder, Policy* policy);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_POLICY_FILES_H_
