#include "comm/mpi_communicator.h"

#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "comm/transport_communicator.h"

namespace flame {
namespace {

// Larger transfers are split, because MPI counts bytes in an int.
constexpr size_t kMaxBytesARequest = size_t{1} << 30;

void Check(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw MachineError(call, " failed: ", std::string(text, length));
}

class MpiTransfer : public Transfer {
 public:
  // `start(offset, count, request)` starts one part. `expected` is the number of bytes that must be
  // received; 0 if any number up to `num_bytes` is fine.
  template <class StartPart>
  MpiTransfer(size_t num_bytes, size_t expected, StartPart start) : expected_(expected) {
    size_t offset = 0;
    do {
      const size_t count = std::min(num_bytes - offset, kMaxBytesARequest);
      requests_.push_back(MPI_REQUEST_NULL);
      start(offset, static_cast<int>(count), &requests_.back());
      offset += count;
    } while (offset < num_bytes);
  }

  bool Done() override {
    int done = 0;
    statuses_.resize(requests_.size());
    Check(
        MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, statuses_.data()),
        "a transfer by MPI (MPI_Testall)");
    if (done != 0 && std::exchange(checked_, true) == false) CheckReceived();
    return done != 0;
  }

 private:
  void CheckReceived() const {
    if (expected_ == 0) return;
    size_t received = 0;
    for (const MPI_Status& status : statuses_) {
      int count = 0;
      Check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
      received += static_cast<size_t>(count);
    }
    if (received == expected_) return;
    throw MachineError("a transfer by MPI: expected ", expected_, " bytes, received ", received);
  }

  size_t expected_ = 0;
  bool checked_ = false;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Status> statuses_;
};

class MpiTransport : public Transport {
 public:
  // Takes ownership of both communicators, which have the same ranks.
  MpiTransport(MPI_Comm collectives, MPI_Comm messages, std::string name,
               std::vector<int> world_ranks)
      : comms_{collectives, messages},
        name_(std::move(name)),
        world_ranks_(std::move(world_ranks)) {
    for (MPI_Comm comm : comms_) {
      Check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    }
    Check(MPI_Comm_rank(collectives, &rank_), "MPI_Comm_rank");
  }

  ~MpiTransport() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized || std::uncaught_exceptions() > 0) return;
    for (MPI_Comm& comm : comms_) MPI_Comm_free(&comm);
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(world_ranks_.size()); }
  std::string name() const override { return name_; }
  int WorldRank(int rank) const override { return world_ranks_[rank]; }

  std::unique_ptr<Transfer> Send(Channel channel, int destination, int tag, const void* data,
                                 size_t num_bytes) override {
    return std::make_unique<MpiTransfer>(
        num_bytes, /*expected=*/0, [&](size_t offset, int count, MPI_Request* request) {
          Check(MPI_Isend(static_cast<const char*>(data) + offset, count, MPI_BYTE, destination,
                          tag, comms_[channel], request),
                "MPI_Isend");
        });
  }

  std::unique_ptr<Transfer> Receive(Channel channel, int source, int tag, void* data,
                                    size_t capacity) override {
    return std::make_unique<MpiTransfer>(
        capacity, channel == kMessages ? capacity : 0,
        [&](size_t offset, int count, MPI_Request* request) {
          Check(MPI_Irecv(static_cast<char*>(data) + offset, count, MPI_BYTE, source, tag,
                          comms_[channel], request),
                "MPI_Irecv");
        });
  }

  bool TryTake(int source, int tag, int* from, std::string* bytes) override {
    int found = 0, count = 0;
    MPI_Message message;
    MPI_Status status;
    Check(MPI_Improbe(source < 0 ? MPI_ANY_SOURCE : source, tag, comms_[kMessages], &found,
                      &message, &status),
          "MPI_Improbe");
    if (!found) return false;
    Check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
    bytes->resize(count);
    Check(MPI_Mrecv(bytes->data(), count, MPI_BYTE, &message, &status), "MPI_Mrecv");
    *from = status.MPI_SOURCE;
    return true;
  }

  // Spins while an answer may be near, then sleeps to leave the core to others.
  void Pause(Clock::duration idle) override {
    using namespace std::chrono_literals;
    if (idle < 200us) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(idle < 10ms ? 20us : idle < 1s ? 200us : 1000us);
    }
  }

  std::unique_ptr<Transport> Split(int index, int color, const std::vector<int>& members) override {
    MPI_Comm collectives, messages;
    Check(MPI_Comm_split(comms_[kCollectives], members[0], rank_, &collectives), "MPI_Comm_split");
    Check(MPI_Comm_dup(collectives, &messages), "MPI_Comm_dup");
    std::vector<int> world_ranks;
    for (int member : members) world_ranks.push_back(world_ranks_[member]);
    return std::make_unique<MpiTransport>(collectives, messages, StrCat(name_, "/", color),
                                          std::move(world_ranks));
  }

 private:
  MPI_Comm comms_[2];
  std::string name_;
  std::vector<int> world_ranks_;
  int rank_ = 0;
};

std::vector<std::string> HostsOfRanks(int size) {
  char own[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  Check(MPI_Get_processor_name(own, &length), "MPI_Get_processor_name");
  std::vector<char> all(static_cast<size_t>(size) * sizeof own);
  Check(MPI_Allgather(own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, MPI_COMM_WORLD),
        "MPI_Allgather");
  std::vector<std::string> hosts;
  for (int r = 0; r < size; ++r) hosts.emplace_back(all.data() + r * sizeof own);
  return hosts;
}

// Returns "node7 x 4, node8 x 4", in rank order.
std::string RanksByHost(const std::vector<std::string>& hosts) {
  std::string text;
  for (size_t first = 0, end; first < hosts.size(); first = end) {
    for (end = first; end < hosts.size() && hosts[end] == hosts[first];) ++end;
    text += StrCat(first > 0 ? ", " : "", hosts[first], " x ", end - first);
  }
  return text;
}

// Runs `call`, which waits inside MPI, under the watchdog.
template <class Call>
void Watched(const char* what, Communicator::Milliseconds timeout, Call call) {
  const auto recorder = FlightRecorder::Make("mpi session");
  const WatchedWait watched(recorder, recorder->Start(what, 1, 0), timeout);
  call();
}

void CheckTags() {
  int* largest = nullptr;
  int found = 0;
  Check(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &largest, &found), "MPI_Comm_get_attr");
  if (found != 0 && *largest >= Transport::kTags - 1) return;
  throw MachineError("this MPI has tags up to ", found != 0 ? *largest : 0,
                     " (MPI_TAG_UB); expected ", Transport::kTags - 1, " at least");
}

}  // namespace

std::string MpiLibraryVersion() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int size = 0;
  Check(MPI_Get_library_version(text, &size), "MPI_Get_library_version");
  return {text, strnlen(text, static_cast<size_t>(size))};  // Open MPI counts the final zero too
}

bool LaunchedByMpi() { return std::getenv("OMPI_COMM_WORLD_SIZE") || std::getenv("PMIX_RANK"); }

bool StartHasBarrier() {
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string(text == nullptr ? "" : text);
  };
  // The namespace tells srun from an mpirun within a step, which keeps the step's other variables.
  const bool by_srun = value("PMIX_NAMESPACE").starts_with("slurm.pmix.");
  const std::string hosts = value("SLURM_STEP_NUM_NODES");
  return !by_srun || hosts.empty() || hosts == "1" || value("SLURM_PMIX_FENCE") == "ring";
}

namespace {

// Ends the job if a library ends this process, so that no other rank waits until its deadline.
void EndJobOfOpenSession() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) return;
  const std::string last = LastOperation();
  AbortJob(static_cast<int>(ExitStatus::kMachine),
           StrCat("the process exits in the middle of the job",
                  last.empty() ? "" : ", its last operation " + last));
}

}  // namespace

MpiSession::MpiSession(Communicator::Milliseconds timeout)
    : timeout_(timeout), engine_(std::make_shared<Engine>()) {
  int provided = MPI_THREAD_SINGLE, rank = 0, size = 1;
  const char* task = std::getenv("SLURM_PROCID");
  if (!StartHasBarrier() && task != nullptr && std::strcmp(task, "0") == 0) {
    LogWarning(
        "srun has started ranks on several hosts without SLURM_PMIX_FENCE=ring in its environment: "
        "one may end in a segmentation fault as MPI starts, unless Slurm's mpi.conf sets the ring");
  }
  // The engine uses MPI from one thread at a time; the watchdog may abort from another.
  Watched("start of MPI", timeout, [&] {
    Check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  });
  std::atexit(EndJobOfOpenSession);
  CheckTags();
  if (provided < MPI_THREAD_SERIALIZED) {
    throw MachineError(
        "MPI must allow calls from several threads (MPI_THREAD_SERIALIZED), this "
        "library gives level ",
        provided);
  }
  Check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  Check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  Check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  SetFlightRank(rank, size);
  std::vector<std::string> hosts;
  Watched("exchange of host names", timeout, [&] { hosts = HostsOfRanks(size); });
  if (rank == 0 && size > 1) LogInfo(size, " ranks: ", RanksByHost(hosts));
  SetHosts(std::move(hosts));
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() > 0) return;
  const auto end = std::chrono::steady_clock::now() + timeout_;
  while (!engine_->Idle()) {
    if (std::chrono::steady_clock::now() > end) {
      AbortJob(static_cast<int>(ExitStatus::kMachine),
               "a message or collective was never taken by its peer until the end of the job");
    }
    std::this_thread::sleep_for(Communicator::Milliseconds(1));
  }
  engine_.reset();
  Watched("end of MPI", timeout_, [] { MPI_Finalize(); });
}

std::unique_ptr<Communicator> MpiSession::World() {
  MPI_Comm collectives = MPI_COMM_NULL, messages = MPI_COMM_NULL;
  Watched("creation of a communicator", timeout_, [&] {
    std::lock_guard lock(engine_->mutex());
    Check(MPI_Comm_dup(MPI_COMM_WORLD, &collectives), "MPI_Comm_dup");
    Check(MPI_Comm_dup(MPI_COMM_WORLD, &messages), "MPI_Comm_dup");
  });
  int size = 1;
  Check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  std::vector<int> world_ranks(size);
  for (int r = 0; r < size; ++r) world_ranks[r] = r;
  return std::make_unique<TransportCommunicator>(
      std::make_shared<MpiTransport>(collectives, messages, "mpi world", std::move(world_ranks)),
      engine_, timeout_);
}

}  // namespace flame
