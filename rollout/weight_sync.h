// Packs adapters for a rollout rank, and checks with a canary that they arrived intact.
#ifndef FLAME_ROLLOUT_WEIGHT_SYNC_H_
#define FLAME_ROLLOUT_WEIGHT_SYNC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/wire.h"
#include "model/named_tensors.h"
#include "model/policy.h"

namespace flame {

// Returns the policy's adapters: the parameters whose names contain "lora_".
NamedTensors AdaptersOf(const Policy& policy);

// Adapters in one buffer, ordered by name, each beginning at a multiple of 64 bytes.
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
// Allocates `size` bytes that ranks of this machine can map (MapShared). If the system has no
// memory to share, allocates plain memory and says so in the log.
at::Tensor SyncBuffer(int64_t size);
PackedAdapters PackAdapters(int64_t version, const NamedTensors& adapters);
// PackAdapters in steps. PlacesFor lays out adapters like `like` in `bytes`, which has PackedSize
// bytes; the caller fills the tensors that TensorsOf returns; Seal computes the checksum.
PackedAdapters PlacesFor(const NamedTensors& like, at::Tensor bytes);
void Seal(int64_t version, PackedAdapters* packed);
// Returns views of packed.bytes.
NamedTensors TensorsOf(const PackedAdapters& packed);

// Write and read everything except the bytes, for a message that precedes them.
void WriteHeader(const PackedAdapters& packed, WireWriter* out);
PackedAdapters ReadHeader(WireReader* in);
// Sends the bytes directly from memory to memory. The works end once `rank` has received them.
std::vector<std::unique_ptr<Work>> SendBytes(const PackedAdapters& packed, int rank,
                                             Communicator* world);
// Fills packed->bytes, whose size is the header's, and checks them like CheckBytes.
void ReceiveBytes(int source, Communicator* world, PackedAdapters* packed);
// Throws MachineError, naming `rank` and the version, if the bytes do not have the checksum.
void CheckBytes(const PackedAdapters& packed, int rank);

// Throws MachineError, naming `rank`, `version` and the tensor, unless names, shapes and dtypes are
// those of the policy's adapters.
void CheckAdapters(const std::vector<PackedAdapters::Entry>& adapters, int rank, int64_t version,
                   const Policy& policy);
// Copies `adapters` into the policy's, which must have the same names, shapes and dtypes.
void LoadAdapters(const NamedTensors& adapters, Policy* policy);
// Like LoadAdapters, but a policy on the CPU uses the tensors of `adapters` themselves from now on.
void UseAdapters(const NamedTensors& adapters, Policy* policy);

// Returns log-probabilities of a fixed family through the packed forward: a trunk and two branches
// of drawn tokens, including slots of each entity kind.
std::vector<double> CanaryLogProbs(const Policy& policy);
// The data that a sync hands over.
struct PolicyVersion {
  int64_t version = 0;
  PackedAdapters adapters;
  std::vector<double> canary;  // the sender's log-probabilities
  at::ScalarType dtype = at::kFloat;
};
PolicyVersion PolicyVersionOf(int64_t version, const Policy& policy);

// Throws MachineError, naming rank, version and the largest difference, if that exceeds 1e-4
// (float32), 1e-9 (float64) or 5e-2 (bfloat16).
void CheckCanary(const std::vector<double>& here, const std::vector<double>& there,
                 at::ScalarType dtype, int rank, int64_t version);

}  // namespace flame

#endif  // FLAME_ROLLOUT_WEIGHT_SYNC_H_
