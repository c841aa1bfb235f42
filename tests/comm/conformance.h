// The seam between conformance_test.cpp and the backends that it runs on.
#ifndef FLAME_TESTS_COMM_CONFORMANCE_H_
#define FLAME_TESTS_COMM_CONFORMANCE_H_

#include <functional>

#include "comm/communicator.h"

namespace flame {

// Runs `body` once on every rank of one group or more; an exception in it is a test failure.
// Defined by each test program.
void OnEveryRank(const std::function<void(Communicator&)>& body);

}  // namespace flame

#endif  // FLAME_TESTS_COMM_CONFORMANCE_H_
