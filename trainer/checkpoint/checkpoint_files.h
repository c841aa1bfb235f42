// The files of one checkpoint: names, manifest, verification.
#ifndef FLAME_TRAINER_CHECKPOINT_CHECKPOINT_FILES_H_
#define FLAME_TRAINER_CHECKPOINT_CHECKPOINT_FILES_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/checkpoint/checkpoint_info.h"

namespace flame {

inline constexpr char kManifestName[] = "manifest.json";

std::string StepFolderName(int64_t step);
bool IsStepFolder(const std::string& name);
// "F32" ...; throws UsageError on a type that is not stored.
std::string CheckpointDtype(at::ScalarType dtype);

// Writes rank `rank`'s file into `folder`; gives its entry of the manifest.
nlohmann::json WriteSlices(const std::filesystem::path& folder, int rank,
                           const std::vector<CheckpointSlice>& slices);

nlohmann::json ManifestOf(const CheckpointInfo& info, const std::vector<nlohmann::json>& files);
CheckpointInfo InfoOf(const nlohmann::json& manifest);
// Throws DataError unless it is a manifest of the known schema.
nlohmann::json ReadManifest(const std::filesystem::path& path);

// Throws DataError unless the file is there with the bytes that were written.
void VerifyFile(const std::filesystem::path& path, const std::string& sha256);

// What LATEST points to, its manifest verified.
struct OpenedCheckpoint {
  std::filesystem::path folder;
  nlohmann::json manifest;
};
OpenedCheckpoint OpenLatest(const std::filesystem::path& latest);

}  // namespace flame

#endif  // FLAME_TRAINER_CHECKPOINT_CHECKPOINT_FILES_H_
