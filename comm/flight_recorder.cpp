#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "comm/watchdog.h"

namespace flame {
namespace {

const auto kProgramStart = std::chrono::steady_clock::now();

double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - kProgramStart).count();
}

// The longest time that a hanging disk may delay the end of a job.
constexpr auto kWriteTime = std::chrono::seconds(5);

struct Registry {
  std::mutex mutex;
  std::vector<std::weak_ptr<FlightRecorder>> recorders;
  std::filesystem::path folder;
  int rank = 0, world_size = 1;
  std::vector<std::string> hosts;  // host of each rank; empty if unknown or if all share one
};

// Never destroyed: the watchdog thread may outlive static objects.
Registry& TheRegistry() {
  static Registry* registry = new Registry;
  return *registry;
}

// Returns "2" or "2 (node7)".
std::string RankAndHost(int rank) {
  const std::string host = HostOf(rank);
  return host.empty() ? StrCat(rank) : StrCat(rank, " (", host, ")");
}

nlohmann::json ToJson(const FlightEntry& entry) {
  nlohmann::json finished;
  if (entry.finished >= 0) finished = entry.finished;
  return {{"sequence", entry.sequence}, {"operation", entry.operation},
          {"bytes", entry.num_bytes},   {"started", entry.started},
          {"finished", finished},       {"waits_for", entry.waits_for}};
}

}  // namespace

FlightRecorder::FlightRecorder(std::string communicator) : communicator_(std::move(communicator)) {}

std::shared_ptr<FlightRecorder> FlightRecorder::Make(const std::string& communicator) {
  auto recorder = std::make_shared<FlightRecorder>(communicator);
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  std::erase_if(registry.recorders, [](const auto& weak) { return weak.expired(); });
  registry.recorders.push_back(recorder);
  return recorder;
}

uint64_t FlightRecorder::Start(std::string operation, uint64_t sequence, uint64_t num_bytes) {
  std::lock_guard lock(mutex_);
  FlightEntry& entry = ring_[next_ % kCapacity];
  entry.sequence = sequence;
  entry.operation = std::move(operation);
  entry.num_bytes = num_bytes;
  entry.started = SecondsNow();
  entry.finished = -1;
  entry.waits_for.clear();
  return next_++;
}

void FlightRecorder::Finish(uint64_t key) {
  std::lock_guard lock(mutex_);
  if (key >= next_ || next_ - key > kCapacity) return;
  FlightEntry& entry = ring_[key % kCapacity];
  entry.finished = SecondsNow();
  entry.waits_for.clear();
}

void FlightRecorder::SetWaitsFor(uint64_t key, std::vector<int> ranks) {
  std::lock_guard lock(mutex_);
  if (key >= next_ || next_ - key > kCapacity) return;
  ring_[key % kCapacity].waits_for = std::move(ranks);
}

std::vector<FlightEntry> FlightRecorder::Entries() const {
  std::lock_guard lock(mutex_);
  std::vector<FlightEntry> entries;
  for (uint64_t key = next_ - std::min(next_, kCapacity); key < next_; ++key) {
    entries.push_back(ring_[key % kCapacity]);
  }
  return entries;
}

FlightEntry FlightRecorder::Entry(uint64_t key) const {
  std::lock_guard lock(mutex_);
  if (key >= next_ || next_ - key > kCapacity) return {};
  return ring_[key % kCapacity];
}

std::string WordsFor(const FlightRecorder& recorder, const FlightEntry& entry) {
  const std::string bytes = entry.num_bytes > 0 ? StrCat(" (", entry.num_bytes, " bytes)") : "";
  return StrCat(entry.operation, " #", entry.sequence, bytes, " on '", recorder.communicator(),
                "'");
}

std::string LastOperation() {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  double latest = -1;
  std::string words;
  for (const auto& weak : registry.recorders) {
    const auto recorder = weak.lock();
    const std::vector<FlightEntry> entries =
        recorder ? recorder->Entries() : std::vector<FlightEntry>();
    if (entries.empty() || entries.back().started < latest) continue;
    latest = entries.back().started;
    words = WordsFor(*recorder, entries.back());
  }
  return words;
}

void SetFlightFolder(const std::filesystem::path& folder) {
  std::lock_guard lock(TheRegistry().mutex);
  TheRegistry().folder = folder;
}

void SetFlightRank(int rank, int world_size) {
  std::lock_guard lock(TheRegistry().mutex);
  TheRegistry().rank = rank;
  TheRegistry().world_size = world_size;
}

std::string FlightRankPrefix() {
  int rank = 0;
  {
    std::lock_guard lock(TheRegistry().mutex);
    if (TheRegistry().world_size < 2) return "";
    rank = TheRegistry().rank;
  }
  return RankName(rank) + ": ";
}

void SetHosts(std::vector<std::string> hosts) {
  std::lock_guard lock(TheRegistry().mutex);
  const bool several =
      std::adjacent_find(hosts.begin(), hosts.end(), std::not_equal_to<>()) != hosts.end();
  TheRegistry().hosts = several ? std::move(hosts) : std::vector<std::string>{};
}

std::string HostOf(int rank) {
  const Registry& registry = TheRegistry();
  std::lock_guard lock(TheRegistry().mutex);
  const bool known = rank >= 0 && static_cast<size_t>(rank) < registry.hosts.size();
  return known ? registry.hosts[rank] : "";
}

std::string RankName(int rank) { return "rank " + RankAndHost(rank); }

std::string RankList(const std::vector<int>& ranks) {
  if (ranks.empty()) return "an unknown rank";
  std::string text;
  for (const int rank : ranks) text += (text.empty() ? "" : ", ") + RankAndHost(rank);
  return (ranks.size() == 1 ? "rank " : "ranks ") + text;
}

namespace {

nlohmann::json RecordOf(const Registry& registry) {
  auto communicators = nlohmann::json::array();
  for (const auto& weak : registry.recorders) {
    const auto recorder = weak.lock();
    if (!recorder) continue;
    auto operations = nlohmann::json::array();
    for (const FlightEntry& entry : recorder->Entries()) operations.push_back(ToJson(entry));
    communicators.push_back({{"name", recorder->communicator()}, {"operations", operations}});
  }
  return {{"rank", registry.rank},
          {"world_size", registry.world_size},
          {"communicators", communicators}};
}

}  // namespace

void WriteFlightRecord() {
  std::filesystem::path path;
  std::string text;
  {
    std::lock_guard lock(TheRegistry().mutex);
    if (TheRegistry().folder.empty()) return;
    path = TheRegistry().folder / StrCat("flight-rank-", TheRegistry().rank, ".json");
    text = RecordOf(TheRegistry()).dump(1) + "\n";
  }
  std::promise<void> written;
  std::future<void> done = written.get_future();
  std::thread([path, text, written = std::move(written)]() mutable {
    try {
      WriteFileAtomically(path, text);
    } catch (const Error& error) {
      LogError(error.what());
    }
    written.set_value();
  }).detach();
  if (done.wait_for(kWriteTime) == std::future_status::ready) return;
  LogError(path.string(), ": not written within ", kWriteTime.count(), " s");
}

}  // namespace flame
