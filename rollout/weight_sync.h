// The adapters' way to a rollout rank, and the canary that shows they arrived in working order.
#ifndef FLAME_ROLLOUT_WEIGHT_SYNC_H_
#define FLAME_ROLLOUT_WEIGHT_SYNC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/policy.h"

namespace flame {

// Name -> tensor. Adapters are the parameters whose names hold "lora_".
using NamedTensors = std::map<std::string, at::Tensor>;
NamedTensors AdaptersOf(const Policy& policy);

// One buffer: version, SHA-256 of what follows, then each tensor by name: dtype, shape, raw bytes.
std::string PackAdapters(int64_t version, const NamedTensors& adapters);
struct SyncedAdapters {
  int64_t version = 0;
  NamedTensors tensors;
};
// Throws MachineError naming `rank` and the version where the checksum is not that of the contents.
SyncedAdapters UnpackAdapters(const std::string& buffer, int rank);

// Copies `adapters` into the policy's; MachineError naming `rank`, `version` and the tensor unless
// names, shapes and dtypes are the policy's own.
void LoadAdapters(const NamedTensors& adapters, int rank, int64_t version, Policy* policy);

// Log-probabilities of a fixed family (a trunk and two branches of drawn tokens, each entity kind's
// slots among them) through the packed forward.
std::vector<double> CanaryLogProbs(const Policy& policy);
// What a sync hands over.
struct PolicyVersion {
  int64_t version = 0;
  NamedTensors adapters;
  std::vector<double> canary;  // of the sender
  at::ScalarType dtype = at::kFloat;
};
PolicyVersion PolicyVersionOf(int64_t version, const Policy& policy);

// MachineError naming rank, version and the largest difference, where it exceeds 1e-4 (float32) or
// 1e-9 (float64).
void CheckCanary(const std::vector<double>& here, const std::vector<double>& there,
                 at::ScalarType dtype, int rank, int64_t version);

}  // namespace flame

#endif  // FLAME_ROLLOUT_WEIGHT_SYNC_H_
