// The inputs that trainings have in common.
#ifndef FLAME_TRAINER_TRAINING_JOB_H_
#define FLAME_TRAINER_TRAINING_JOB_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "comm/communicator.h"
#include "model/policy.h"
#include "trainer/sharding/sharding.h"

namespace flame {

struct TrainingJob {
  ShardingOptions sharding;
  uint64_t seed = 0;  // seeds every draw of the training; any number of ranks draws the same
  // Holds checkpoints/ and metrics.jsonl. Training resumes if it holds a checkpoint.
  std::filesystem::path folder;
  // See CheckpointInfo. A checkpoint with another digest is refused.
  std::string config_sha256, settings;
  Communicator* learners = nullptr;   // null means one rank
  Communicator* on_device = nullptr;  // see ShardGroups
};

struct PolicyJob : TrainingJob {
  Policy* policy = nullptr;
  bool recompute = false;  // see ForwardOptions::recompute
  // Called at the end on every learner with the trained policy, whose parameters are still spread
  // over the learners: forwards, Save and JoinSave are collective. May be empty.
  std::function<void(const Policy&)> end;
};

}  // namespace flame

#endif  // FLAME_TRAINER_TRAINING_JOB_H_
