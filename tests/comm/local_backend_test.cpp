#include <ATen/ops/ones.h>
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

// Rank 0 starts a large all-reduce first and then leaves its communicator alone. The second half of
// the operation still needs rank 0 after its peers have sent their shares.
TEST(LocalGroup, RankThatComputesAfterStarting_DoesNotHoldUpItsPeers) {
  auto group = MakeLocalGroup(3, std::chrono::seconds(10));
  at::Tensor computing = at::ones({100000});
  const auto work = group[0]->AllReduce(computing, ReduceOp::kSum);
  std::vector<std::thread> threads;
  for (int r : {1, 2}) {
    threads.emplace_back([&group, r] {
      EXPECT_NO_THROW(group[r]->AllReduce(at::ones({100000}), ReduceOp::kSum)->Wait());
    });
  }
  for (auto& thread : threads) thread.join();
  work->Wait();
}

}  // namespace flame
