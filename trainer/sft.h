// Supervised fine-tuning over families: the loss is the mean negative log-probability of the asked-
// for tokens of a step's examples.
#ifndef FLAME_TRAINER_SFT_H_
#define FLAME_TRAINER_SFT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "comm/communicator.h"
#include "model/policy.h"
#include "trainer/options.h"
#include "trainer/sharding.h"

namespace flame {

struct SftJob {
  std::string label;  // for progress: "classifier"
  Policy* policy = nullptr;
  std::string trainable = "lora";  // as Policy::SelectTrainable
  int64_t num_examples = 0;
  std::function<Family(int64_t example)> family;  // pure function of its argument
  SftOptions options;
  ShardingOptions sharding;
  bool recompute = false;        // ForwardOptions::recompute
  uint64_t seed = 0;             // order of examples (equal on any number of ranks), dropout
  std::filesystem::path folder;  // checkpoints/, metrics.jsonl; resumed if it holds a checkpoint
  // As CheckpointInfo: a checkpoint of another digest is refused.
  std::string config_sha256, settings;
  Communicator* learners = nullptr;  // null: one rank
};

struct SftReport {
  int64_t steps = 0;
  double first_loss = 0, last_loss = 0;  // means over the first and last twentieth of the steps
};

// A step trains on the next `batch` examples of its epoch's shuffle, dealt to ranks in turn; the
// last step of an epoch may be short. If the folder holds the run's last checkpoint, loads it and
// returns at once. metrics.jsonl, a row a step: step (updates done, from 1), loss, grad_norm
// (before clipping), learning_rate, tokens_trained (asked-for tokens), tokens_packed (all that went
// through the model), seconds, tokens_per_second (packed). Throws Stopped (75) after saving if a
// stop was requested, DataError if a step asks for no token, MachineError if the gradient is not
// finite.
SftReport RunSft(const SftJob& job);

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_H_
