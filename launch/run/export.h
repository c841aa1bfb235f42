// Export of a trained policy as a plain Hugging Face folder, which any server of Llama models
// loads.
#ifndef FLAME_LAUNCH_RUN_EXPORT_H_
#define FLAME_LAUNCH_RUN_EXPORT_H_

#include <filesystem>

namespace flame {

// Throws UsageError if `out` exists and is not an empty folder.
void ExpectNewFolder(const std::filesystem::path& out);

// Reads the policy and tokenizer of `model_dir` and writes `out`, completely or not at all. `out`
// holds:
//   - the policy with merged adapters, and with entity slots as rows of the embedding table. The
//     patient's slot is none of these: its token has a row that no prompt should use;
//   - the tokenizer;
//   - generation_config.json with the end tokens and, as `suppress_tokens`, the ids of the slots,
//     which are input only;
//   - threshold.json, if `model_dir` has one, as a classifier's has.
// Returns true if the policy had a patient's slot. Throws DataError if `model_dir` is damaged, and
// does as ExpectNewFolder.
bool ExportPolicy(const std::filesystem::path& model_dir, const std::filesystem::path& out);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_EXPORT_H_
