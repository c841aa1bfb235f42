// config.json of a Hugging Face directory.
#ifndef FLAME_MODEL_FILES_POLICY_CONFIG_H_
#define FLAME_MODEL_FILES_POLICY_CONFIG_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "model/architecture.h"

namespace flame {

// Parses a JSON file. Throws DataError naming it.
nlohmann::json ReadJson(const std::filesystem::path& path);

// Throws DataError, naming the file and key, on an architecture that is not in KnownArchitectures
// and on what is not supported of it: a RopeScaling of another kind, sliding windows, biases of the
// feed-forward maps, another activation than silu, weights quantised already.
PolicyConfig ReadPolicyConfig(const std::filesystem::path& path);

// eos_token_id as transformers writes it: a number, a list, or null.
nlohmann::json EndIdsJson(const PolicyConfig& config);

// What transformers needs to load the policy. `dtype` as DtypeName gives it.
nlohmann::json PolicyConfigJson(const PolicyConfig& config, const std::string& dtype);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_POLICY_CONFIG_H_
