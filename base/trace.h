// A timeline of this process in the Trace Event Format that chrome://tracing and Perfetto read:
// process = rank; thread 0 = what the rank computes and waits for, thread 1 = its collectives.
#ifndef FLAME_BASE_TRACE_H_
#define FLAME_BASE_TRACE_H_

#include <cstdint>
#include <string>

namespace flame {

// Events are kept from here on, in memory: about 100 bytes each.
void StartTrace();
bool Tracing();

// An event on thread 0 from construction to destruction; a number >= 0 becomes part of its name.
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

// An event of thread 1 that begins and ends in different calls, from any thread. `id` is what
// TraceBegin gave.
int64_t TraceBegin(const std::string& name);
void TraceEnd(int64_t id);

// The events so far as JSON objects separated by commas, with the rank as process. Times are
// microseconds of the machine's wall clock, so that ranks of one machine line up.
std::string TraceEvents(int rank);
// A whole file of the events of some ranks.
std::string TraceFile(const std::string& events);

}  // namespace flame

#endif  // FLAME_BASE_TRACE_H_
