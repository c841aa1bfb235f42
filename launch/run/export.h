// A trained policy as a plain Hugging Face folder that any server of Llama models loads.
#ifndef FLAME_LAUNCH_RUN_EXPORT_H_
#define FLAME_LAUNCH_RUN_EXPORT_H_

#include <filesystem>

namespace flame {

// Reads the policy and tokenizer of `model_dir` and writes `out`, whole or absent: adapters merged,
// entity slots as rows of the embedding table, tokenizer, and generation_config.json with eos and
// `suppress_tokens`, the slots' ids, which are input only, and a classifier's threshold.json.
// Throws DataError; UsageError if `out` is there and not an empty folder.
void ExportPolicy(const std::filesystem::path& model_dir, const std::filesystem::path& out);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_EXPORT_H_
