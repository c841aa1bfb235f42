#include "launch/run/run_stage.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <utility>

#include "base/clock.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "launch/config/input_digests.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"
#include "launch/run/device.h"
#include "launch/run/tensor_memory.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Returns the digests of earlier stages' outputs. Throws DataError unless each stage is done and
// was made with this config.
std::map<std::string, std::string> OutputDigests(const Config& config,
                                                 const std::vector<std::string>& stages) {
  for (const std::string& stage : stages) {
    if (stage == "prepare" || stage == "encode") CheckInputsUnchanged(config, stage);
  }
  for (const std::string& stage : stages) {
    CheckSettings(config.run.dir, stage, StageSettings(config, stage));
  }
  // The order is the given one, so that the error names the first missing stage.
  std::map<std::string, std::string> digests;
  for (const std::string& stage : stages) digests[stage] = OutputDigest(config.run.dir, stage);
  return digests;
}

// Records the number of arithmetic threads, which sums are split over. Warns if the stages before,
// or the beginning of this one, had another number.
void RecordThreads(const fs::path& run_dir) {
  const fs::path path = run_dir / ".stages" / "threads";
  const std::string now = std::to_string(at::get_num_threads());
  const std::string before = fs::exists(path) ? ReadWholeFile(path) : now;
  if (before != now) {
    LogWarning(
        "this run was begun with ", before, " arithmetic threads a rank and goes on with ", now,
        ": its results are not those of an undisturbed run to the last bit; run.threads=", before,
        " keeps them so");
  }
  WriteFileAtomically(path, now);
}

}  // namespace

Stage StageOf(const Config& config, const std::string& name, std::vector<fs::path> outputs,
              const std::vector<std::string>& earlier) {
  Stage stage;
  stage.name = name;
  stage.run_dir = config.run.dir;
  stage.settings = StageSettings(config, name);
  stage.earlier = OutputDigests(config, earlier);
  stage.inputs = stage.settings;
  for (const std::string& name : earlier) stage.inputs += stage.earlier.at(name);
  stage.outputs = std::move(outputs);
  return stage;
}

std::vector<std::string> EarlierStages(const Config& config, const std::vector<std::string>& more,
                                       bool reads_encoders) {
  std::vector<std::string> stages = {"prepare"};
  if (config.encoders.FillsSlots() || (reads_encoders && config.encoders.TrainsAny())) {
    stages.push_back("encode");
  }
  stages.insert(stages.end(), more.begin(), more.end());
  return stages;
}

bool IsFirst(Communicator* world) { return world == nullptr || world->rank() == 0; }

void RunStageOf(const Config& config, Stage stage, Communicator* world, bool on_device) {
  stage.make = [&config, world, make = std::move(stage.make)](const std::string& inputs) {
    if (IsFirst(world)) {
      WriteFileAtomically(RunPaths(config.run.dir).config(), config.ResolvedYaml());
    }
    make(inputs);
  };
  at::Tensor begun = at::zeros({1}, at::kLong);
  if (IsFirst(world)) begun.fill_(BeginStage(stage) ? 1 : 0);
  if (world != nullptr) world->Broadcast(begun, 0)->Wait();
  if (begun.item<int64_t>() == 0) return;
  if (IsFirst(world)) RecordThreads(stage.run_dir);
  const c10::Device device = on_device ? OpenDevice(config.model.device) : c10::Device(c10::kCPU);
  ResetPeakTensorBytes(device);
  // The time of earlier processes that were stopped or killed in the middle of this training.
  const double earlier = SumsOfMetrics(stage.run_dir / stage.name, {"seconds"})[0];
  const Clock::time_point start = Clock::now();
  stage.make(Sha256(stage.inputs));
  const StageCost cost = {earlier + SecondsSince(start), PeakTensorBytesOfRanks(device, world)};
  if (IsFirst(world)) FinishStage(stage, cost);
  // A signal may have come too late for the stage to save and stop. Rank 0 decides for all ranks,
  // and stops only once all of them know the decision.
  at::Tensor stop = at::zeros({1}, at::kLong);
  if (IsFirst(world)) stop.fill_(StopRequested() ? 1 : 0);
  if (world != nullptr) world->Broadcast(stop, 0)->Wait();
  if (world != nullptr) world->Barrier();
  StopIfRequested(stop.item<int64_t>() != 0);
}

}  // namespace flame
