// flame doctor: is this allocation fit for a run?
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "launch/command.h"
#include "launch/doctor_report.h"

namespace flame {
namespace {

constexpr char kUsage[] =
    "flame doctor --config configs/quickstart.yaml --json\n"
    "srun --mpi=pmix flame doctor --config configs/quickstart.yaml    # every rank of an "
    "allocation\n\n"
    "Tries what a run needs on every rank of an allocation before the run is started: one build "
    "and\n"
    "the same libraries everywhere, GPUs, messages between hosts, a run folder that all write and\n"
    "see, clocks, limits. One line a check with the mend in words; exit status 4 where one fails.\n"
    "Nothing is left in the run folder.\n";
// No rank that works takes longer for one answer.
constexpr double kLongestAnswer = 20;

}  // namespace

int RunDoctor(const Arguments& arguments) {
  const ConfigArguments parsed = ParseConfigArguments(arguments, kUsage);
  if (parsed.help) return 0;
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
  const auto checks = JudgeFindings(*findings, device == "cuda");
  std::cout << (parsed.json ? DoctorJson(*findings, checks).dump(2) + "\n" : DoctorTable(checks))
            << std::flush;
  const auto failed = std::count_if(checks.begin(), checks.end(),
                                    [](const CheckResult& check) { return !check.passed; });
  if (failed == 0) return 0;
  throw MachineError("doctor: ", failed, " of ", checks.size(), " checks failed; see the table");
}

}  // namespace flame
