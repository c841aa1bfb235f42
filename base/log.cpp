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

// Appends every line, with the time that stderr's short lines leave out.
class FileSink : public google::LogSink {
 public:
  explicit FileSink(const std::string& path) : file_(path, std::ios::app) {
    if (!file_) throw MachineError(path, ": cannot open for appending: ", std::strerror(errno));
  }
  void send(google::LogSeverity, const char*, const char*, int, const struct ::tm* time,
            const char* message, size_t length) override {
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S ", time);
    const std::lock_guard<std::mutex> lock(mutex_);
    file_ << stamp;
    file_.write(message, static_cast<std::streamsize>(length)) << '\n' << std::flush;
  }

 private:
  std::mutex mutex_;
  std::ofstream file_;
};

struct Logging {
  std::mutex mutex;
  bool started = false;
  LogLevel level = LogLevel::kInfo;
  std::string rank;
  std::unique_ptr<FileSink> file;
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

void LogToFile(const std::string& path) {
  Logging& state = State();
  const std::lock_guard<std::mutex> lock(state.mutex);
  StartLocked(&state);
  auto file = std::make_unique<FileSink>(path);
  if (state.file) google::RemoveLogSink(state.file.get());
  google::AddLogSink(file.get());
  state.file = std::move(file);
}

void LogLine(LogLevel level, const std::string& text) {
  Logging& state = State();
  std::string prefix;
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    StartLocked(&state);
    if (level < state.level) return;
    prefix = StrCat("[", Name(level), state.rank, "] ");
  }
  google::LogMessage(__FILE__, __LINE__, Severity(level)).stream() << prefix << text;
}

}  // namespace flame
