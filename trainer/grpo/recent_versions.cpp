#include "trainer/grpo/recent_versions.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <cstdio>
#include <utility>

namespace flame {

RecentVersions::RecentVersions(int64_t count, TrainingRun* run) : run_(run) {
  for (int64_t i = 0; i < count; ++i) {
    NamedTensors copy;
    for (const auto& [name, shard] : run->parameters()->shards()) {
      copy[name] = shard.detach().clone();
    }
    char prefix[32];
    std::snprintf(prefix, sizeof(prefix), "version-%lld.", static_cast<long long>(count - i));
    run->AddSharded(prefix, copy);
    copies_.push_back(std::move(copy));
  }
}

void RecentVersions::Push() {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < copies_.size(); ++i) {
    const NamedTensors& next =
        i + 1 < copies_.size() ? copies_[i + 1] : run_->parameters()->shards();
    for (const auto& [name, tensor] : copies_[i]) at::Tensor(tensor).copy_(next.at(name));
  }
}

void RecentVersions::Swap(int64_t age) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : copies_[copies_.size() - age]) {
    const at::Tensor shard = run_->parameters()->shards().at(name);
    const at::Tensor present = shard.clone();
    shard.copy_(tensor);
    at::Tensor(tensor).copy_(present);
  }
  run_->parameters()->Publish();
}

}  // namespace flame
