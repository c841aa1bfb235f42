// Memory of tensors, counted where it is taken: resident pages have the libraries and the heap's
// holes among them.
#ifndef FLAME_LAUNCH_RUN_TENSOR_MEMORY_H_
#define FLAME_LAUNCH_RUN_TENSOR_MEMORY_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Bytes of the tensors in the host's memory, from the first call of any of these on.
int64_t TensorBytes();
// Most of them at a time since the process or the last reset.
int64_t PeakTensorBytes();
// The most on `device` since then: as above of the CPU; of a GPU what its allocator gave out.
int64_t PeakTensorBytes(c10::Device device);
void ResetPeakTensorBytes(c10::Device device);

// Large blocks come from the system and go back to it one by one. By default glibc moves blocks of
// up to 32 MB onto its heap once one was freed, where they leave holes: about a quarter more
// resident memory in a training.
void KeepLargeBlocksApart();

// PeakTensorBytes of every rank of `world` (null: one process), by rank. Collective.
std::vector<int64_t> PeakTensorBytesOfRanks(c10::Device device, Communicator* world);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_TENSOR_MEMORY_H_
