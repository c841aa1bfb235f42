// The planned memory of a learner against the memory that it allocates, over MPI.
#include "launch/plan/memory.h"
#include "tests/comm/mpi/mpi_test_main.h"
#include "tests/launch/plan/plan_fixture.h"

namespace flame {
namespace {

TEST(PlanMemory, EveryLearner_IsWithinATenthOfWhatIsAllocated) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "flame-plan-mpi" /
                      std::to_string(TestWorld().size());
  if (TestWorld().rank() == 0) std::filesystem::remove_all(folder);
  TestWorld().Barrier();
  ExpectAllPlanned(&TestWorld(), folder);
}

}  // namespace
}  // namespace flame
