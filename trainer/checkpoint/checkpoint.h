// Checkpoints of a training loop:
//   folder/checkpoints/step-000200/rank-0003.safetensors   that learner's slices of named tensors
//   folder/checkpoints/step-000200/manifest.json
//   folder/checkpoints/LATEST                              "step-000200 <SHA-256 of manifest.json>"
// manifest.json: {"schema": 2, "step", "config_sha256", "settings", "ranks", "value",
//   "numbers": {name: integer},
//   "files": [{"name", "sha256", "tensors": {name: {"dtype", "shape", "offset", "count"}}}]}
// A file's tensor is `count` elements of the flattened whole of that shape, from `offset` on; it is
// stored in the whole's shape where it is the whole, else flat. A step's folder is renamed when
// whole, LATEST replaced after.
#ifndef FLAME_TRAINER_CHECKPOINT_CHECKPOINT_H_
#define FLAME_TRAINER_CHECKPOINT_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/checkpoint/checkpoint_info.h"

namespace flame {

class AtomicPath;

// Of the steps' folders the `last` newest stay, and the `best` of lowest (or highest) value.
struct CheckpointRetention {
  int64_t last = 2, best = 0;
  bool highest = false;
};

// Writes beside training. Every learner makes the same calls.
class CheckpointWriter {
 public:
  // `folder` is the stage's; null learners: one.
  CheckpointWriter(std::filesystem::path folder, CheckpointRetention retention,
                   Communicator* learners);
  ~CheckpointWriter();  // waits for its own file; what was not published is removed

  // Copies the slices; they are written while the caller goes on. An earlier one is published
  // first. A learner whose slices are all empty writes no file.
  void Begin(const CheckpointInfo& info, const std::vector<CheckpointSlice>& slices);
  // A checkpoint that Begin started is not published yet.
  bool pending() const { return pending_ != nullptr; }
  // This learner's file is written, or could not be.
  bool written() const;
  // Waits for every learner's file, then manifest, rename, LATEST. Throws MachineError on all
  // learners where one's disk failed, naming it; LATEST is then as before.
  void Publish();

 private:
  struct Pending;
  std::filesystem::path checkpoints_;
  CheckpointRetention retention_;
  Communicator* learners_;
  std::unique_ptr<Pending> pending_;
};

// Fills `slices` and gives the state of the loop; nullopt if there is no checkpoint. Slices may be
// cut otherwise than those that were written. Throws DataError where a file is missing or damaged,
// names, shapes or dtypes differ (nothing is copied then), or the config does: the message names
// the keys.
std::optional<CheckpointInfo> LoadLatestCheckpoint(const std::filesystem::path& folder,
                                                   const std::string& config_sha256,
                                                   const std::string& settings,
                                                   const std::vector<CheckpointSlice>& slices);

// The same check of the config alone, nothing where there is no checkpoint.
void CheckResumable(const std::filesystem::path& folder, const std::string& config_sha256,
                    const std::string& settings);

// What lies in `folder`/checkpoints, each step verified against its manifest: {"latest": name,
// "checkpoints": [{"name", "step", "ranks", "value", "tensors", "bytes", "fault": null or text}]}.
nlohmann::ordered_json DescribeCheckpoints(const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_TRAINER_CHECKPOINT_CHECKPOINT_H_
