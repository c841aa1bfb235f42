#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "comm/watchdog.h"

namespace flame {
namespace {

const auto kProgramStart = std::chrono::steady_clock::now();

double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - kProgramStart).count();
}

struct Registry {
  std::mutex mutex;
  std::vector<std::weak_ptr<FlightRecorder>> recorders;
  std::filesystem::path folder;
  int rank = 0, world_size = 1;
};

// Never destroyed: the watchdog thread may outlive static objects.
Registry& TheRegistry() {
  static Registry* registry = new Registry;
  return *registry;
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
  std::lock_guard lock(TheRegistry().mutex);
  return TheRegistry().world_size > 1 ? StrCat("rank ", TheRegistry().rank, ": ") : "";
}

void WriteFlightRecord() {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  if (registry.folder.empty()) return;
  auto communicators = nlohmann::json::array();
  for (const auto& weak : registry.recorders) {
    const auto recorder = weak.lock();
    if (!recorder) continue;
    auto operations = nlohmann::json::array();
    for (const FlightEntry& entry : recorder->Entries()) operations.push_back(ToJson(entry));
    communicators.push_back({{"name", recorder->communicator()}, {"operations", operations}});
  }
  const nlohmann::json record = {{"rank", registry.rank},
                                 {"world_size", registry.world_size},
                                 {"communicators", communicators}};
  try {
    WriteFileAtomically(registry.folder / StrCat("flight-rank-", registry.rank, ".json"),
                        record.dump(1) + "\n");
  } catch (const Error& error) {
    LogError(error.what());
  }
}

}  // namespace flame
