// manifest.json of an export: what is in it, and where it comes from.
#ifndef FLAME_LAUNCH_EXPORT_MANIFEST_H_
#define FLAME_LAUNCH_EXPORT_MANIFEST_H_

#include <filesystem>
#include <nlohmann/json.hpp>

namespace flame {

// Writes manifest.json of a folder: {"schema": "flame-export 1", the members of `origin`,
// "files": [{"name", "bytes", "sha256"}]} with every other file of the folder, by name.
void WriteManifest(const std::filesystem::path& folder, const nlohmann::json& origin);

// Compares a folder with its manifest.json and returns the number of its files. Throws DataError
// with a line for each file that is missing, changed or not in the manifest.
int64_t VerifyManifest(const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_MANIFEST_H_
