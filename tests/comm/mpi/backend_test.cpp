#include <gtest/gtest.h>

#include "tests/comm/conformance.h"
#include "tests/comm/mpi/mpi_test_main.h"

namespace flame {

void OnEveryRank(const std::function<void(Communicator&)>& body) {
  try {
    body(TestWorld());
  } catch (const std::exception& error) {
    ADD_FAILURE() << "rank " << TestWorld().rank() << ": " << error.what();
  }
}

TEST(MpiWorld, World_HasANameAndEveryRank) {
  EXPECT_EQ(TestWorld().name(), "mpi world");
  EXPECT_GT(TestWorld().size(), 1);
}

}  // namespace flame
