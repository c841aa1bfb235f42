// flame doctor: is this allocation fit for a run?
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/doctor/allocation.h"
#include "launch/doctor/report.h"

namespace flame {
namespace {

// No rank that works takes longer for one answer.
constexpr double kLongestAnswer = 20;

// Prints the report; 0, or MachineError where a check failed.
int Tell(const nlohmann::json& report, bool as_json) {
  // Names of files may hold bytes that are no UTF-8.
  std::cout << (as_json
                    ? report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                    : DoctorTable(report))
            << std::flush;
  const auto& checks = report.at("checks");
  const auto failed = std::count_if(checks.begin(), checks.end(), [](const nlohmann::json& check) {
    return !check.at("passed").get<bool>();
  });
  if (failed == 0) return 0;
  throw MachineError("doctor: ", failed, " of ", checks.size(), " checks failed; see the table");
}

}  // namespace

int RunDoctor(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  const bool as_json = options.Has("json");
  if (InAllocationOfSeveral()) {
    Arguments words = options.arguments;
    std::erase(words, "--json");
    return Tell(ReportOfAllocation(words), as_json);
  }
  const double seconds = std::min(config.cluster.timeout, kLongestAnswer);
  const Communicator::Milliseconds deadline(static_cast<int64_t>(seconds * 1000));
  std::unique_ptr<MpiSession> session;
  std::unique_ptr<Communicator> world;
  if (LaunchedByMpi()) {
    session = std::make_unique<MpiSession>(deadline);
    world = session->World();
  }
  const std::string device = config.model.device;
  const auto findings = Probe(world.get(), config.run.dir, device, deadline);
  if (!findings) return 0;
  return Tell(DoctorJson(*findings, JudgeFindings(*findings, device == "cuda")), as_json);
}

}  // namespace flame
