// Checkpoints of a training loop:
//   folder/checkpoints/step-000200/rank-0003.safetensors   learner 3's slices of named tensors
//   folder/checkpoints/step-000200/manifest.json
//   folder/checkpoints/LATEST                              "step-000200 <SHA-256 of manifest.json>"
// manifest.json: {"schema": 3, "step", "config_sha256", "settings", "ranks", "value",
//   "numbers": {name: integer},
//   "files": [{"name", "sha256", "tensors": {name: {"dtype", "shape", "offset", "count"}}}],
//   "sha256": SHA-256 of the manifest without this entry}
// A learner writes a file if it holds slices that no other learner writes: one file per shard.
// A tensor in a file is `count` elements, from `offset` on, of a flattened tensor of shape `shape`.
// It is stored in that shape if it is the whole tensor, else flat. A step's folder gets its final
// name once it is complete; LATEST is replaced afterwards.
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

// Which step folders are kept: the `last` newest, and the `best` with the lowest value (the highest
// if `highest`).
struct CheckpointRetention {
  int64_t last = 2, best = 0;
  bool highest = false;
};

// Writes checkpoints while training goes on. Every learner makes the same calls.
class CheckpointWriter {
 public:
  // `folder` is the stage's folder. Null `learners` means one rank.
  CheckpointWriter(std::filesystem::path folder, CheckpointRetention retention,
                   Communicator* learners);
  ~CheckpointWriter();  // waits for its own file; removes an unpublished checkpoint

  // Copies the slices and writes them while the caller goes on. Publishes a pending checkpoint
  // first. A learner whose slices are all empty writes no file.
  void Begin(const CheckpointInfo& info, const std::vector<CheckpointSlice>& slices);
  // True if a checkpoint that Begin started is not published yet.
  bool pending() const { return pending_ != nullptr; }
  // True if writing this learner's file has ended, in success or failure.
  bool written() const;
  // Waits for every learner's file, then writes the manifest, renames the folder and replaces
  // LATEST. If one learner fails to write, throws MachineError naming it on all learners; LATEST
  // is then unchanged.
  void Publish();

 private:
  struct Pending;
  std::filesystem::path checkpoints_;
  CheckpointRetention retention_;
  Communicator* learners_;
  std::unique_ptr<Pending> pending_;
};

// Fills `slices` and returns the state of the loop; nullopt if there is no checkpoint. Slices may
// be cut differently from those that were written. Throws DataError, before anything is copied, if
// a file is missing or damaged, if names, shapes or dtypes differ, or if the config differs: the
// message then names the keys.
std::optional<CheckpointInfo> LoadLatestCheckpoint(const std::filesystem::path& folder,
                                                   const std::string& config_sha256,
                                                   const std::string& settings,
                                                   const std::vector<CheckpointSlice>& slices);

// Throws DataError as above if the latest checkpoint has another config. Does nothing if there is
// no checkpoint.
void CheckResumable(const std::filesystem::path& folder, const std::string& config_sha256,
                    const std::string& settings);

// Describes the contents of `folder`/checkpoints, with each step verified against its manifest:
// {"latest": name or null, "latest_fault": null or text, "checkpoints": [{"name", "step", "ranks",
// "value", "files", "tensors", "bytes", "fault": null or text}]}.
nlohmann::ordered_json DescribeCheckpoints(const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_TRAINER_CHECKPOINT_CHECKPOINT_H_
