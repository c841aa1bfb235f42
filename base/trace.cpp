#include "base/trace.h"

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace flame {
namespace {

struct Event {
  std::string name;
  int thread;
  double start, end;
};

std::atomic<bool> tracing = false;
std::mutex mutex;
std::vector<Event> events;      // ended events
std::map<int64_t, Event> open;  // events of thread 1 that have not ended, by id
int64_t next_id = 0;

double Now() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void StartTrace() { tracing = true; }
bool Tracing() { return tracing; }

TraceScope::TraceScope(const std::string& name, int64_t number)
    : TraceScope(name.c_str(), number) {}

TraceScope::TraceScope(const char* name, int64_t number) : start_(tracing ? Now() : 0) {
  if (start_ == 0) return;
  name_ = name;
  if (number >= 0) name_ += " " + std::to_string(number);
}

TraceScope::~TraceScope() {
  if (start_ == 0) return;
  const std::lock_guard lock(mutex);
  events.push_back({std::move(name_), 0, start_, Now()});
}

int64_t TraceBegin(const std::string& name) {
  if (!tracing) return -1;
  const std::lock_guard lock(mutex);
  open[next_id] = {name, 1, Now(), 0};
  return next_id++;
}

void TraceEnd(int64_t id) {
  if (id < 0) return;
  const std::lock_guard lock(mutex);
  const auto found = open.find(id);
  if (found == open.end()) return;
  found->second.end = Now();
  events.push_back(std::move(found->second));
  open.erase(found);
}

std::string TraceEvents(int rank) {
  const std::lock_guard lock(mutex);
  const auto named = [&](const char* what, int thread, const std::string& name) {
    return nlohmann::json{
        {"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", thread}, {"args", {{"name", name}}}}
        .dump();
  };
  std::string text = named("process_name", 0, "rank " + std::to_string(rank)) + ",\n" +
                     named("thread_name", 0, "compute") + ",\n" +
                     named("thread_name", 1, "collectives");
  for (const Event& event : events) {
    text += ",\n" + nlohmann::json{{"ph", "X"},         {"name", event.name},
                                   {"pid", rank},       {"tid", event.thread},
                                   {"ts", event.start}, {"dur", event.end - event.start}}
                        .dump();
  }
  return text;
}

std::string TraceFile(const std::string& events) {
  return "{\"traceEvents\": [\n" + events + "\n]}\n";
}

}  // namespace flame
