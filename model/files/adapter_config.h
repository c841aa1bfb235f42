// adapter_config.json of a LoRA adapter, as peft 0.21 writes it.
#ifndef FLAME_MODEL_FILES_ADAPTER_CONFIG_H_
#define FLAME_MODEL_FILES_ADAPTER_CONFIG_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "model/options.h"

namespace flame {

// Reads the file. `targets` stays empty if target_modules is no list of the maps' names, such as a
// regular expression: the adapter's tensors tell them then. Throws DataError on a missing or wrong
// value, and on any field, known or not, that may change what the adapter computes: only fields
// that cannot may hold more than null, false or nothing.
LoraOptions ReadAdapterConfig(const std::filesystem::path& path);

// Names no path of the base model, which lies in the same folder: the folder may move, and the same
// run gives the same bytes anywhere.
nlohmann::json AdapterConfigJson(const LoraOptions& lora);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_ADAPTER_CONFIG_H_
