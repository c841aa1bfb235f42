#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <atomic>
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

// The second half of a large all-reduce needs rank 0 after its peers have sent their shares.
TEST(LocalGroup, RankThatComputesAfterStarting_DoesNotHoldUpItsPeers) {
  auto group = MakeLocalGroup(3, std::chrono::seconds(10));
  std::atomic<int> num_done = 0;
  std::vector<std::thread> threads;
  for (auto& comm : group) {
    threads.emplace_back([&num_done, &comm] {
      at::Tensor tensor = at::ones({100000});
      auto work = comm->AllReduce(tensor, ReduceOp::kSum);
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      while (comm->rank() == 0 && num_done < 2 && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // computes, say
      }
      if (comm->rank() == 0) EXPECT_EQ(num_done, 2);
      EXPECT_NO_THROW(work->Wait());
      ++num_done;
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace flame
