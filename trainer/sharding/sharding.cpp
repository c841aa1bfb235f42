#include "trainer/sharding/sharding.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "comm/staged_communicator.h"

namespace flame {
namespace {

constexpr int64_t kHostNameBytes = 256;

// Returns the first learner on this learner's host.
int FirstOfHost(Communicator* learners) {
  at::Tensor own = at::zeros({kHostNameBytes}, at::kByte);
  gethostname(static_cast<char*>(own.mutable_data_ptr()), kHostNameBytes - 1);
  at::Tensor all = at::zeros({learners->size() * kHostNameBytes}, at::kByte);
  learners->AllGather(all, own)->Wait();
  const char* names = static_cast<const char*>(all.const_data_ptr());
  for (int rank = 0;; ++rank) {
    if (std::strcmp(names + rank * kHostNameBytes, names + learners->rank() * kHostNameBytes) == 0)
      return rank;
  }
}

int HybridGroup(int64_t group, Communicator* learners) {
  if (group == 0) return FirstOfHost(learners);
  if (learners->size() % group != 0) {
    throw UsageError("cluster.shard_group is ", group, " and there are ", learners->size(),
                     " learners; expected a divisor of their number");
  }
  return learners->rank() / static_cast<int>(group);
}

// Throws UsageError unless all groups have the same size: otherwise replicas would not hold the
// same shard.
void CheckEvenGroups(Communicator* learners, int size) {
  at::Tensor largest = at::full({1}, size, at::kLong), smallest = largest.clone();
  learners->AllReduce(largest, ReduceOp::kMax)->Wait();
  learners->AllReduce(smallest, ReduceOp::kMin)->Wait();
  if (largest.item<int64_t>() == smallest.item<int64_t>()) return;
  throw UsageError("cluster.sharding is hybrid, and hosts have from ", smallest.item<int64_t>(),
                   " to ", largest.item<int64_t>(),
                   " learners; expected the same number on each, or a cluster.shard_group");
}

}  // namespace

ShardGroups::ShardGroups(const ShardingOptions& options, at::Device device, Communicator* learners,
                         Communicator* on_device)
    : sharding_(options.policy), reshard_frozen_(options.reshard) {
  if (learners == nullptr) return;
  Communicator* tensors = on_device == nullptr ? learners : on_device;
  if (on_device == nullptr && !device.is_cpu()) {
    staged_ = std::make_unique<StagedCommunicator>(learners);
    tensors = staged_.get();
  }
  if (sharding_ == Sharding::kNone) {
    replica_ = tensors;
  } else if (sharding_ != Sharding::kHybrid) {
    shard_ = tensors;
  } else {
    own_shard_ = tensors->Split(HybridGroup(options.group, learners));
    own_replica_ = tensors->Split(own_shard_->rank());
    CheckEvenGroups(learners, own_shard_->size());
    shard_ = own_shard_.get();
    replica_ = own_replica_.get();
  }
}

}  // namespace flame
