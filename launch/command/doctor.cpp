// flame doctor: is this allocation fit for a run?
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "launch/command/command.h"
#include "launch/doctor/allocation.h"
#include "launch/doctor/report.h"

namespace flame {
namespace {

constexpr char kUsage[] =
    "flame doctor --config configs/quickstart.yaml --json\n"
    "SLURM_PMIX_FENCE=ring srun --mpi=pmix flame doctor --config configs/quickstart.yaml\n"
    "mpirun flame doctor --config configs/quickstart.yaml\n\n"
    "Tries what a run needs on every rank of an allocation before the run is started: one build "
    "and\n"
    "the same libraries everywhere, GPUs, messages between hosts, a run folder that all write and\n"
    "see, clocks, limits. One line a check with the mend in words; exit status 4 where one fails.\n"
    "Nothing is left in the run folder. In a batch file, or a shell of salloc, it starts itself "
    "on\n"
    "all ranks by srun, and has a report, too, where a host cannot be reached.\n";
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

int RunDoctor(const Arguments& arguments) {
  const ConfigArguments parsed = ParseConfigArguments(arguments, kUsage);
  if (parsed.help) return 0;
  if (InAllocationOfSeveral()) {
    Arguments words = arguments;
    std::erase(words, "--json");
    return Tell(ReportOfAllocation(words), parsed.json);
  }
  const double seconds = std::min(parsed.config.cluster.timeout, kLongestAnswer);
  const Communicator::Milliseconds deadline(static_cast<int64_t>(seconds * 1000));
  std::unique_ptr<MpiSession> session;
  std::unique_ptr<Communicator> world;
  if (LaunchedByMpi()) {
    session = std::make_unique<MpiSession>(deadline);
    world = session->World();
  }
  const std::string device = parsed.config.model.device;
  const auto findings = Probe(world.get(), parsed.config.run.dir, device, deadline);
  if (!findings) return 0;
  return Tell(DoctorJson(*findings, JudgeFindings(*findings, device == "cuda")), parsed.json);
}

}  // namespace flame
