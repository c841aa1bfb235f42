#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "comm/mpi_communicator.h"

namespace flame {
namespace {

// Returns StartHasBarrier() in an environment in which, of the variables it reads, only these are
// set.
bool WithVariables(const std::map<std::string, std::string>& variables) {
  for (const char* name : {"PMIX_NAMESPACE", "SLURM_STEP_NUM_NODES", "SLURM_PMIX_FENCE"}) {
    const auto given = variables.find(name);
    if (given == variables.end()) {
      unsetenv(name);
    } else {
      setenv(name, given->second.c_str(), 1);
    }
  }
  return StartHasBarrier();
}

TEST(StartHasBarrier, NotWhereSrunStartsSeveralHostsWithoutTheRing) {
  const std::string step = "slurm.pmix.7.0";
  EXPECT_FALSE(WithVariables({{"PMIX_NAMESPACE", step}, {"SLURM_STEP_NUM_NODES", "2"}}));
  EXPECT_FALSE(WithVariables(
      {{"PMIX_NAMESPACE", step}, {"SLURM_STEP_NUM_NODES", "16"}, {"SLURM_PMIX_FENCE", "tree"}}));
  EXPECT_TRUE(WithVariables(
      {{"PMIX_NAMESPACE", step}, {"SLURM_STEP_NUM_NODES", "2"}, {"SLURM_PMIX_FENCE", "ring"}}));
  EXPECT_TRUE(WithVariables({{"PMIX_NAMESPACE", step}, {"SLURM_STEP_NUM_NODES", "1"}}));
}

TEST(StartHasBarrier, WhereMpirunOrNobodyStartsThisProcess) {
  EXPECT_TRUE(WithVariables({}));
  EXPECT_TRUE(WithVariables({{"SLURM_STEP_NUM_NODES", "2"}}));
  // These are the variables of mpirun in a shell that srun started on two hosts.
  EXPECT_TRUE(WithVariables({{"PMIX_NAMESPACE", "1374748673"}, {"SLURM_STEP_NUM_NODES", "2"}}));
}

}  // namespace
}  // namespace flame
