// How learners split parameters, gradients and optimizer state: the options.
#ifndef FLAME_TRAINER_SHARDING_SHARDING_OPTIONS_H_
#define FLAME_TRAINER_SHARDING_SHARDING_OPTIONS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace flame {

enum class Sharding {
  kNone,       // every learner holds everything
  kOptimizer,  // optimizer state is split (ZeRO-1, Rajbhandari et al. 2020)
  kFull,       // parameters and gradients are split too (ZeRO-3, FSDP: Zhao et al. 2023)
  kHybrid,     // full within a group of learners, replicated across groups
};

const char* NameOf(Sharding sharding);  // as cluster.sharding writes it
// True if parameters and gradients are split, not the optimizer's state alone.
bool SplitsParameters(Sharding sharding);

struct ShardingOptions {
  Sharding policy = Sharding::kNone;
  bool reshard = true;             // frozen weights are split under full and hybrid, as others are
  int64_t group = 0;               // learners of a hybrid group; 0: those of one host
  bool offload_optimizer = false;  // a GPU learner's AdamW moments lie in the host's memory
};

// Every sharding with its name.
const std::vector<std::pair<std::string, Sharding>>& ShardingNames();

}  // namespace flame

#endif  // FLAME_TRAINER_SHARDING_SHARDING_OPTIONS_H_
