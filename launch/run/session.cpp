#include "launch/run/session.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/trace.h"
#include "comm/group.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"
#include "launch/run/device.h"
#include "launch/run/grpo_roles.h"
#include "launch/run/tensor_memory.h"

namespace flame {
namespace {

// Returns the positive number that the launcher put into the environment variable, else 0.
int FromLauncher(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::max(0, std::atoi(text));
}

// Slurm tells each task its number of cores, and may bind the task to them. mpirun tells the number
// of ranks on this machine, which share its cores.
int CoresOfThisRank() {
  if (const int given = FromLauncher("SLURM_CPUS_PER_TASK"); given > 0) return given;
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return std::max(1, cores / std::max(1, FromLauncher("OMPI_COMM_WORLD_LOCAL_SIZE")));
}

void SetThreads(int64_t configured) {
  at::set_num_threads(configured > 0 ? static_cast<int>(configured) : CoresOfThisRank());
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Throws UsageError unless the configs of all ranks agree in all keys but run.dir and run.threads.
// Collective.
void CheckSameOnAllRanks(const Config& config, Communicator* world) {
  Config same = config;
  same.run.dir.clear();
  same.run.threads = 0;
  const std::vector<std::string> configs = GatherTexts(world, same.ResolvedYaml());
  const std::vector<std::string> expected = LinesOf(configs[0]);
  for (size_t r = 1; r < configs.size(); ++r) {
    if (configs[r] == configs[0]) continue;
    const std::vector<std::string> found = LinesOf(configs[r]);
    size_t i = 0;
    while (i < found.size() && i < expected.size() && found[i] == expected[i]) ++i;
    throw UsageError("ranks of one job need one config: rank 0 has '",
                     i < expected.size() ? expected[i] : "", "', rank ", r, " has '",
                     i < found.size() ? found[i] : "", "'");
  }
}

}  // namespace

struct RankSession::Mpi {
  explicit Mpi(Communicator::Milliseconds timeout) : session(timeout) {}
  MpiSession session;
};

// A POSIX record lock on run.dir/.lock. It ends with the process, however that ends, and works on
// shared file systems too.
class RankSession::RunLock {
 public:
  explicit RunLock(const std::filesystem::path& run_dir) {
    const std::filesystem::path path = run_dir / ".lock";
    std::error_code error;
    if (std::filesystem::is_symlink(run_dir) && !std::filesystem::exists(run_dir)) {
      throw MachineError("run.dir ", run_dir.string(), " is a link to ",
                         std::filesystem::read_symlink(run_dir).string(),
                         ", which does not exist; expected a folder");
    }
    std::filesystem::create_directories(run_dir, error);
    file_ = error ? -1 : open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file_ < 0) {
      throw MachineError("run.dir: cannot make ", path.string(), ": ",
                         error ? error.message() : std::strerror(errno));
    }
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    if (fcntl(file_, F_SETLK, &lock) == 0) return;
    fcntl(file_, F_GETLK, &lock);
    close(file_);
    throw MachineError("run.dir ", run_dir.string(), " is in use by process ", lock.l_pid,
                       "; wait for it to end, or choose another run.dir");
  }
  ~RunLock() { close(file_); }
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int file_;
};

RankSession::RankSession(const Config& config, bool logs, bool by_role) : run_dir_(config.run.dir) {
  InstallStopSignals();
  SetUpHeap();
  SetThreads(config.run.threads);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  // Deterministic algorithms would otherwise fill every empty tensor with NaN, including caches of
  // which only a part is ever used.
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  if (LaunchedByMpi()) {
    SetFlightFolder(config.run.dir);
    mpi_ = std::make_unique<Mpi>(
        Communicator::Milliseconds(static_cast<int64_t>(config.cluster.timeout * 1000)));
    world_ = mpi_->session.World();
    const LogLevel shown = ShownLogLevel();
    InitLogging(first() ? shown : std::max(shown, LogLevel::kWarning), world_->rank());
    CheckSameOnAllRanks(config, world_.get());
  }
  if (!by_role || !OnlyScores(config.cluster, world_.get())) OpenDevice(config.model.device);
  if (first()) lock_ = std::make_unique<RunLock>(config.run.dir);
  if (logs) LogTo(run_dir_ / "logs");
}

// The file also gets the lines that stderr leaves out.
void RankSession::LogTo(const std::filesystem::path& folder) const {
  const int rank = world_ == nullptr ? 0 : world_->rank();
  try {
    std::filesystem::create_directories(folder);
    LogToFile(folder / StrCat("rank-", rank, ".log"));
  } catch (const std::exception& error) {
    LogWarning("this rank has no log file: ", error.what());
  }
}

RankSession::~RankSession() {
  if (Tracing() && std::uncaught_exceptions() == 0) {
    try {
      WriteTrace();
    } catch (const std::exception& error) {
      LogWarning("no timeline was written: ", error.what());
    }
  }
  world_.reset();
}

void RankSession::WriteTrace() const {
  const int rank = world_ == nullptr ? 0 : world_->rank();
  std::string all;
  for (const std::string& events : GatherTexts(world_.get(), TraceEvents(rank))) {
    all += (all.empty() ? "" : ",\n") + events;
  }
  if (first()) WriteFileAtomically(run_dir_ / "trace.json", TraceFile(all));
}

void RankSession::RequireOneProcess(const char* command) const {
  if (world_ == nullptr || world_->size() == 1) return;
  throw UsageError("flame ", command, " runs in one process, not in ", world_->size(),
                   ": start it without mpirun. Several ranks share only `flame sft`, `flame grpo`, "
                   "`flame replay` and `flame doctor`");
}

bool IsRunInUse(const std::filesystem::path& run_dir) {
  const std::filesystem::path path = run_dir / ".lock";
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return false;
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  const bool asked = file >= 0 && fcntl(file, F_GETLK, &lock) == 0;
  const int cause = errno;
  if (file >= 0) close(file);
  if (!asked)
    throw MachineError(path.string(), ": cannot ask for its lock: ", std::strerror(cause));
  return lock.l_type != F_UNLCK;
}

}  // namespace flame
