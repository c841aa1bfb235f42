#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "comm/local_communicator.h"
#include "tests/comm/conformance.h"

namespace flame {

void OnEveryRank(const std::function<void(Communicator&)>& body) {
  for (int size : {1, 2, 3, 5}) {
    auto group = MakeLocalGroup(size, std::chrono::seconds(30));
    std::vector<std::thread> threads;
    for (auto& comm : group) {
      threads.emplace_back([&body, &comm] {
        try {
          body(*comm);
        } catch (const std::exception& error) {
          ADD_FAILURE() << "rank " << comm->rank() << ": " << error.what();
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

}  // namespace flame
