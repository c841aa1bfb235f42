// The function that libflame_cuda.so exports. The program opens the library with dlopen when a GPU
// is asked for, before anything asks ATen whether CUDA is available. The library takes its flame::
// symbols from the program.
#ifndef FLAME_COMM_NCCL_CUDA_MODULE_H_
#define FLAME_COMM_NCCL_CUDA_MODULE_H_

#include <memory>

#include "comm/communicator.h"

namespace flame {

// Makes an NcclCommunicator. Collective over the ranks of `control`. `device` is this rank's GPU.
using MakeNcclCommunicatorFunction = std::unique_ptr<Communicator>(
    std::shared_ptr<Communicator> control, int device, Communicator::Milliseconds timeout);
constexpr char kMakeNcclCommunicator[] = "FlameMakeNcclCommunicator";

}  // namespace flame

#endif  // FLAME_COMM_NCCL_CUDA_MODULE_H_
