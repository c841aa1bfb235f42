// Reads and writes the config.json of a Hugging Face directory.
#ifndef FLAME_MODEL_FILES_POLICY_CONFIG_H_
#define FLAME_MODEL_FILES_POLICY_CONFIG_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "model/architecture.h"

namespace flame {

// Parses a JSON file. Throws DataError, naming the file, if it is not JSON.
nlohmann::json ReadJson(const std::filesystem::path& path);

// Throws DataError, naming the file and key, if the architecture is not in KnownArchitectures or
// uses an unsupported feature: another kind of RopeScaling, sliding windows, biases of the
// feed-forward maps, an activation other than silu, or quantised weights.
PolicyConfig ReadPolicyConfig(const std::filesystem::path& path);

// Returns eos_token_id as transformers writes it: a number, a list, or null.
nlohmann::json EndIdsJson(const PolicyConfig& config);

// Returns what transformers needs to load the policy. `dtype` is a name that DtypeName returns.
nlohmann::json PolicyConfigJson(const PolicyConfig& config, const std::string& dtype);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_POLICY_CONFIG_H_
