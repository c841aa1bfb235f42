// How learners split parameters, gradients and optimizer state.
#ifndef FLAME_TRAINER_SHARDING_SHARDING_H_
#define FLAME_TRAINER_SHARDING_SHARDING_H_

#include <c10/core/Device.h>

#include <memory>

#include "comm/communicator.h"
#include "trainer/sharding/sharding_options.h"

namespace flame {

// The ranks among which a state is split, and the ranks that hold copies of the same shard. A null
// communicator means one rank.
class ShardGroups {
 public:
  // Collective over `learners` (null means one rank), which takes CPU tensors. `on_device`, over
  // the same ranks, takes tensors of the policy's device; if it is null, they go through the host.
  // Throws UsageError if a hybrid group's size does not divide the number of learners, or if hosts
  // have different numbers of learners.
  ShardGroups(const ShardingOptions& options, at::Device device, Communicator* learners,
              Communicator* on_device);

  Sharding sharding() const { return sharding_; }
  // True if parameters and gradients are split, not only the optimizer's state.
  bool splits_parameters() const { return SplitsParameters(sharding_); }
  bool reshard_frozen() const { return reshard_frozen_; }
  Communicator* shard() const { return shard_; }      // the ranks whose shards make up a whole
  Communicator* replica() const { return replica_; }  // the ranks that hold this rank's shard
  int shard_rank() const { return shard_ == nullptr ? 0 : shard_->rank(); }
  int shard_size() const { return shard_ == nullptr ? 1 : shard_->size(); }
  int replica_rank() const { return replica_ == nullptr ? 0 : replica_->rank(); }

 private:
  Sharding sharding_ = Sharding::kNone;
  bool reshard_frozen_ = true;
  Communicator* shard_ = nullptr;
  Communicator* replica_ = nullptr;
  std::unique_ptr<Communicator> staged_, own_shard_, own_replica_;
};

}  // namespace flame

#endif  // FLAME_TRAINER_SHARDING_SHARDING_H_
