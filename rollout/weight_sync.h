// The adapters' way to a rollout rank, and the canary that shows they arrived in working order.
#ifndef FLAME_ROLLOUT_WEIGHT_SYNC_H_
#define FLAME_ROLLOUT_WEIGHT_SYNC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/wire.h"
#include "model/policy.h"

namespace flame {

// Name -> tensor. Adapters are the parameters whose names hold "lora_".
using NamedTensors = std::map<std::string, at::Tensor>;
NamedTensors AdaptersOf(const Policy& policy);

// Adapters in one buffer: by name, each from a multiple of 64 bytes on.
struct PackedAdapters {
  struct Entry {
    std::string name;
    at::ScalarType dtype = at::kFloat;
    std::vector<int64_t> shape;
  };
  int64_t version = 0;
  std::vector<Entry> entries;
  std::string checksum;  // XXH3-128 of `bytes`
  at::Tensor bytes;      // uint8, on the CPU
};
std::vector<PackedAdapters::Entry> EntriesOf(const NamedTensors& adapters);
int64_t PackedSize(const std::vector<PackedAdapters::Entry>& entries);  // bytes
// Memory for `size` bytes that ranks of this machine can map (MapShared); plain memory, said in a
// log line, where the system has none to share.
at::Tensor SyncBuffer(int64_t size);
PackedAdapters PackAdapters(int64_t version, const NamedTensors& adapters);
// The same in steps: places for adapters like `like` in `bytes`, which is of PackedSize; TensorsOf
// gives them to be filled; Seal digests them.
PackedAdapters PlacesFor(const NamedTensors& like, at::Tensor bytes);
void Seal(int64_t version, PackedAdapters* packed);
// Views of packed.bytes.
NamedTensors TensorsOf(const PackedAdapters& packed);

// All but the bytes, for a message that goes before them.
void WriteHeader(const PackedAdapters& packed, WireWriter* out);
PackedAdapters ReadHeader(WireReader* in);
// The bytes, straight from memory to memory. The works end once `rank` has taken them.
std::vector<std::unique_ptr<Work>> SendBytes(const PackedAdapters& packed, int rank,
                                             Communicator* world);
// Fills packed->bytes, which is of the header's size, and checks them.
void ReceiveBytes(int source, Communicator* world, PackedAdapters* packed);
// MachineError naming `rank` and the version where the checksum is not that of the bytes.
void CheckBytes(const PackedAdapters& packed, int rank);

// MachineError naming `rank`, `version` and the tensor unless names, shapes and dtypes are those of
// the policy's adapters.
void CheckAdapters(const std::vector<PackedAdapters::Entry>& adapters, int rank, int64_t version,
                   const Policy& policy);
// Copies `adapters` into the policy's, which they fit.
void LoadAdapters(const NamedTensors& adapters, Policy* policy);
// The same, but a policy on the CPU uses them where they lie from now on.
void UseAdapters(const NamedTensors& adapters, Policy* policy);

// Log-probabilities of a fixed family (a trunk and two branches of drawn tokens, each entity kind's
// slots among them) through the packed forward.
std::vector<double> CanaryLogProbs(const Policy& policy);
// What a sync hands over.
struct PolicyVersion {
  int64_t version = 0;
  PackedAdapters adapters;
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
