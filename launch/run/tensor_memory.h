// The memory of tensors, counted at allocation. Resident memory would also include the libraries
// and the holes of the heap.
#ifndef FLAME_LAUNCH_RUN_TENSOR_MEMORY_H_
#define FLAME_LAUNCH_RUN_TENSOR_MEMORY_H_

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Returns the bytes of tensors in host memory. Counting starts with the first call of any function
// here.
int64_t TensorBytes();
// Returns the largest TensorBytes since the start or the last reset.
int64_t PeakTensorBytes();
// Returns the peak on `device` since the start or the last reset: PeakTensorBytes() for the CPU,
// the peak of its allocator for a GPU, 0 if that counts nothing.
int64_t PeakTensorBytes(c10::Device device);
void ResetPeakTensorBytes(c10::Device device);

// Makes malloc take each large block from the system and return it when freed. By default, glibc
// moves blocks of up to 32 MB onto its heap once one has been freed. There they leave holes, which
// cost a training about a quarter more resident memory.
//
// Up to 256 MB of smaller freed blocks stay at the heap's end. By default glibc returns them at
// once, and the pages that each step then asks for again take a twelfth of a small model's time.
void SetUpHeap();

// Returns PeakTensorBytes of every rank of `world` (null means one process), by rank. Collective.
std::vector<int64_t> PeakTensorBytesOfRanks(c10::Device device, Communicator* world);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_TENSOR_MEMORY_H_
