// The interface between conformance_test.cpp and the backends that it tests.
#ifndef FLAME_TESTS_COMM_CONFORMANCE_H_
#define FLAME_TESTS_COMM_CONFORMANCE_H_

#include <functional>

#include "comm/communicator.h"

namespace flame {

// Runs `body` once on every rank of one or more groups. An exception in it is a test failure. Each
// test program defines this function.
void OnEveryRank(const std::function<void(Communicator&)>& body);

}  // namespace flame

#endif  // FLAME_TESTS_COMM_CONFORMANCE_H_
