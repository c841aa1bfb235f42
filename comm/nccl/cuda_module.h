// What libflame_cuda.so exports. The program opens it with dlopen when a GPU is asked for, before
// anything asks ATen whether CUDA is there; its flame:: symbols come from the program.
#ifndef FLAME_COMM_NCCL_CUDA_MODULE_H_
#define FLAME_COMM_NCCL_CUDA_MODULE_H_

#include <memory>

#include "comm/communicator.h"

namespace flame {

// Collective over the ranks of `control`. `device`: this rank's GPU.
using MakeNcclCommunicatorFunction = std::unique_ptr<Communicator>(
    std::shared_ptr<Communicator> control, int device, Communicator::Milliseconds timeout);
constexpr char kMakeNcclCommunicator[] = "FlameMakeNcclCommunicator";

}  // namespace flame

#endif  // FLAME_COMM_NCCL_CUDA_MODULE_H_
