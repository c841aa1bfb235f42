// A timeline of this process in the Trace Event Format, which chrome://tracing and Perfetto read.
// A process of the timeline is a rank; its thread 0 shows what the rank computes and waits for, its
// thread 1 the rank's collectives.
#ifndef FLAME_BASE_TRACE_H_
#define FLAME_BASE_TRACE_H_

#include <cstdint>
#include <string>

namespace flame {

// Starts recording events in memory, about 100 bytes each.
void StartTrace();
bool Tracing();

// Records an event on thread 0 from construction to destruction. A number >= 0 becomes part of its
// name.
class TraceScope {
 public:
  explicit TraceScope(const std::string& name, int64_t number = -1);
  explicit TraceScope(const char* name, int64_t number = -1);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  std::string name_;
  double start_;
};

// Begin and end an event on thread 1 of the timeline. The calls may come from any thread. `id` is
// what TraceBegin returned.
int64_t TraceBegin(const std::string& name);
void TraceEnd(int64_t id);

// Returns the events so far as JSON objects separated by commas, with `rank` as the process. Times
// are microseconds of the machine's wall clock, so that ranks of one machine line up.
std::string TraceEvents(int rank);
// Returns a whole trace file. `events` is the TraceEvents() of one or more ranks, joined by commas.
std::string TraceFile(const std::string& events);

}  // namespace flame

#endif  // FLAME_BASE_TRACE_H_
