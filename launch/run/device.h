// The device that this process computes on.
#ifndef FLAME_LAUNCH_RUN_DEVICE_H_
#define FLAME_LAUNCH_RUN_DEVICE_H_

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace flame {

// "cpu"; or "cuda": of the machine's GPUs the one that has this rank's number among the ranks of
// its machine (or its place), counted round where there are fewer. Opens the GPU's libraries on the
// first call, which must come before anything asks ATen whether CUDA is there: it remembers the
// answer. Throws UsageError on another name, MachineError that says what is missing: the module of
// a build with the GPU's wheels, a library, a driver or a GPU.
c10::Device OpenDevice(const std::string& name);

// A communicator over the ranks of `learners` that takes tensors on model.device: NCCL for cuda,
// null for the CPU and for one rank. Collective; after OpenDevice.
std::unique_ptr<Communicator> LearnersOnDevice(const std::string& device, double timeout_seconds,
                                               Communicator* learners);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_DEVICE_H_
