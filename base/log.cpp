#include "base/log.h"

#include <glog/logging.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <mutex>

namespace flame {
namespace {

// Appends lines with the time, which stderr's lines omit to stay short.
class LogFile {
 public:
  explicit LogFile(const std::string& path) : file_(path, std::ios::app) {
    if (!file_) throw MachineError(path, ": cannot open for appending: ", std::strerror(errno));
  }
  void Append(const std::string& line) {
    const std::time_t now = std::time(nullptr);
    std::tm time = {};
    localtime_r(&now, &time);
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S ", &time);
    file_ << stamp << line << '\n' << std::flush;
  }

 private:
  std::ofstream file_;
};

struct Logging {
  std::mutex mutex;
  bool started = false;
  LogLevel level = LogLevel::kInfo;
  std::string rank;
  std::unique_ptr<LogFile> file;
};

// Never destroyed: a destructor of another static may still log.
Logging& State() {
  static Logging* state = new Logging;
  return *state;
}

void StartLocked(Logging* state) {
  if (state->started) return;
  state->started = true;
  FLAGS_logtostderr = true;
  FLAGS_log_prefix = false;  // glog's prefix has no rank
  google::InitGoogleLogging("flame");
}

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

std::string Prefixed(const Logging& state, LogLevel level, const std::string& text) {
  return StrCat("[", Name(level), state.rank, "] ", text);
}

google::LogSeverity Severity(LogLevel level) {
  if (level == LogLevel::kError) return google::GLOG_ERROR;
  return level == LogLevel::kWarning ? google::GLOG_WARNING : google::GLOG_INFO;
}

}  // namespace

void InitLogging(LogLevel level, int rank) {
  Logging& state = State();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.level = level;
  state.rank = rank < 0 ? "" : StrCat(" rank ", rank);
  StartLocked(&state);
}

LogLevel ShownLogLevel() {
  const std::lock_guard<std::mutex> lock(State().mutex);
  return State().level;
}

LogLevel ParseLogLevel(const std::string& name) {
  for (const auto level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (name == Name(level)) return level;
  }
  throw UsageError("--log-level is '", name, "'; expected debug, info, warning or error");
}

void LogToFile(const std::string& path) {
  auto file = std::make_unique<LogFile>(path);
  const std::lock_guard<std::mutex> lock(State().mutex);
  State().file = std::move(file);
}

void LogLine(LogLevel level, const std::string& text) {
  Logging& state = State();
  std::string line;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    StartLocked(&state);
    line = Prefixed(state, level, text);
    const bool shown = level >= state.level;
    if (state.file && (shown || level >= LogLevel::kInfo)) state.file->Append(line);
    if (!shown) return;
  }
  google::LogMessage(__FILE__, __LINE__, Severity(level)).stream() << line;
}

void LogToFileAlone(const std::string& text) {
  Logging& state = State();
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (state.file) state.file->Append(Prefixed(state, LogLevel::kInfo, text));
}

}  // namespace flame
