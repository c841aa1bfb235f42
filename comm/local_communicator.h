// The backend within one process: ranks are threads.
#ifndef FLAME_COMM_LOCAL_COMMUNICATOR_H_
#define FLAME_COMM_LOCAL_COMMUNICATOR_H_

#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Returns one communicator for each of `size` threads, in rank order.
std::vector<std::unique_ptr<Communicator>> MakeLocalGroup(
    int size, Communicator::Milliseconds timeout = std::chrono::minutes(10));

}  // namespace flame

#endif  // FLAME_COMM_LOCAL_COMMUNICATOR_H_
