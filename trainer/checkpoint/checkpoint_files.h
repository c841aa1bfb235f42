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
// Returns the name of a type in the files: "F64", "F32", "BF16" or "I64". Throws UsageError on any
// other type.
std::string CheckpointDtype(at::ScalarType dtype);

// Writes the file of rank `rank` into `folder`; returns its entry of the manifest.
nlohmann::json WriteSlices(const std::filesystem::path& folder, int rank,
                           const std::vector<CheckpointSlice>& slices);

nlohmann::json ManifestOf(const CheckpointInfo& info, const std::vector<nlohmann::json>& files);
CheckpointInfo InfoOf(const nlohmann::json& manifest);
// Throws DataError unless the file is an undamaged manifest of the known schema, in the folder of
// its step.
nlohmann::json ReadManifest(const std::filesystem::path& path);

// Throws DataError if the file is missing or its SHA-256 is another.
void VerifyFile(const std::filesystem::path& path, const std::string& sha256);

// A checkpoint's folder and its verified manifest.
struct OpenedCheckpoint {
  std::filesystem::path folder;
  nlohmann::json manifest;
};
// Opens the checkpoint that the file LATEST names. Throws DataError if LATEST or the manifest is
// damaged.
OpenedCheckpoint OpenLatest(const std::filesystem::path& latest);

}  // namespace flame

#endif  // FLAME_TRAINER_CHECKPOINT_CHECKPOINT_FILES_H_
