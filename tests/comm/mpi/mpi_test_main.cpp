#include "tests/comm/mpi/mpi_test_main.h"

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"

namespace flame {
namespace {

Communicator* test_world = nullptr;

class FailuresOnly : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::cerr << "rank " << TestWorld().rank() << ", "
              << (test ? StrCat(test->test_suite_name(), ".", test->name()) : "no test") << "\n"
              << (result.file_name() ? result.file_name() : "") << ":" << result.line_number()
              << ": " << result.message() << std::endl;
  }
};

int ExpectedRanks(int argc, char** argv) {
  const std::string prefix = "--ranks=";
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]).starts_with(prefix)) return std::stoi(argv[i] + prefix.size());
  }
  throw UsageError("this test is run as: mpirun -np N PROGRAM --ranks=N");
}

// Returns the status of this rank alone.
int RunTests(int expected_ranks) {
  if (TestWorld().rank() != 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  if (TestWorld().size() != expected_ranks) {
    std::cerr << "expected " << expected_ranks << " rank(s), found " << TestWorld().size() << "\n";
    return 1;
  }
  const int status = RUN_ALL_TESTS();
  if (testing::UnitTest::GetInstance()->test_to_run_count() > 0) return status;
  std::cerr << "no test ran\n";
  return 1;
}

int Main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const int expected_ranks = ExpectedRanks(argc, argv);
  MpiSession session(std::chrono::seconds(60));
  const auto world = session.World();
  test_world = world.get();
  at::Tensor status = at::zeros({1}, at::kInt);
  status.data_ptr<int>()[0] = RunTests(expected_ranks);
  world->AllReduce(status, ReduceOp::kMax)->Wait();
  return status.data_ptr<int>()[0];
}

}  // namespace

Communicator& TestWorld() { return *test_world; }

}  // namespace flame

int main(int argc, char** argv) {
  try {
    return flame::Main(argc, argv);
  } catch (const std::exception& error) {
    flame::AbortJob(1, error.what());
  }
}
