// The device that this process computes on.
#ifndef FLAME_LAUNCH_RUN_DEVICE_H_
#define FLAME_LAUNCH_RUN_DEVICE_H_

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace flame {

// Returns the device "cpu" or "cuda". For cuda, this rank takes GPU number n modulo the number of
// GPUs, where n is its number among the processes of its machine. The first call for cuda loads the
// GPU libraries; it must come before anything asks ATen whether CUDA is available, because ATen
// remembers the answer. Throws UsageError on any other name, and MachineError naming what is
// missing: the module that a build with the GPU wheels has, a library, a driver or a GPU.
c10::Device OpenDevice(const std::string& name);

// Returns a communicator over the ranks of `learners` that takes tensors on `device`: NCCL for
// cuda, null for the CPU or if `learners` is null. Collective; call after OpenDevice.
std::unique_ptr<Communicator> LearnersOnDevice(const std::string& device, double timeout_seconds,
                                               Communicator* learners);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_DEVICE_H_
