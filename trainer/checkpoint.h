// Checkpoints of a training loop:
//   folder/checkpoints/step-000200/rank-0000.safetensors   named tensors
//   folder/checkpoints/step-000200/manifest.json
//   folder/checkpoints/LATEST                              "step-000200 <SHA-256 of manifest.json>"
// manifest.json: {"schema": 1, "step", "config_sha256", "ranks", "numbers": {name: integer},
//   "files": [{"name", "sha256", "tensors": {name: {"shape", "offset"}}}]}
// `offset` is the place of the file's slice in the flattened tensor: 0 while learners hold whole
// tensors. A step's folder is renamed when whole, LATEST replaced after; the two newest are kept.
#ifndef FLAME_TRAINER_CHECKPOINT_H_
#define FLAME_TRAINER_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "trainer/adamw.h"

namespace flame {

struct CheckpointInfo {
  int64_t step = 0;
  std::string config_sha256;
  int64_t ranks = 1;                       // learners that trained
  std::map<std::string, int64_t> numbers;  // state of the loop
};

// `folder` is the stage's. Throws MachineError if it cannot be written; what was there stays.
void SaveCheckpoint(const std::filesystem::path& folder, const CheckpointInfo& info,
                    const NamedTensors& tensors);

// Copies the checkpoint that LATEST names into `tensors`, or returns nothing where there is no
// LATEST. Everything is checked before anything is copied. Throws DataError: a missing file or a
// SHA-256 other than recorded (naming file and both), a tensor that is missing, unexpected or of
// another shape or dtype, a checkpoint of another config than `config_sha256` (naming both).
std::optional<CheckpointInfo> LoadLatestCheckpoint(const std::filesystem::path& folder,
                                                   const std::string& config_sha256,
                                                   const NamedTensors& tensors);

}  // namespace flame

#endif  // FLAME_TRAINER_CHECKPOINT_H_
