#include "comm/nccl/cuda_module.h"

#include <utility>

#include "comm/nccl/nccl_communicator.h"
#include "comm/nccl/nccl_table.h"

// C linkage only gives the function a plain name. Returning a C++ type is safe, because caller and
// module are built together.
#pragma GCC diagnostic ignored "-Wreturn-type-c-linkage"
extern "C" std::unique_ptr<flame::Communicator> FlameMakeNcclCommunicator(
    std::shared_ptr<flame::Communicator> control, int device,
    flame::Communicator::Milliseconds timeout) {
  return std::make_unique<flame::NcclCommunicator>(std::move(control), &flame::LinkedNccl(),
                                                   flame::MakeCudaQueue(device), timeout);
}

static_assert(
    std::is_same_v<decltype(FlameMakeNcclCommunicator), flame::MakeNcclCommunicatorFunction>);
