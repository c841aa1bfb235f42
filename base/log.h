// Log lines on stderr and, after LogToFile(), in a file. Hides glog.
#ifndef FLAME_BASE_LOG_H_
#define FLAME_BASE_LOG_H_

#include <string>

#include "base/error.h"

namespace flame {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Keeps lines below `level` off stderr and shows `rank` (-1: none) in each line.
void InitLogging(LogLevel level, int rank);
LogLevel ShownLogLevel();
// Parses "debug", "info", "warning" or "error". Throws UsageError on any other name.
LogLevel ParseLogLevel(const std::string& name);
// From now on also appends to `path` every line of level info or above, and every line that stderr
// shows. Throws MachineError if the file cannot be opened.
void LogToFile(const std::string& path);
void LogLine(LogLevel level, const std::string& text);
// Writes an info line to the file but not to stderr.
void LogToFileAlone(const std::string& text);

template <class... Parts>
void LogDebug(const Parts&... parts) {
  LogLine(LogLevel::kDebug, StrCat(parts...));
}
template <class... Parts>
void LogInfo(const Parts&... parts) {
  LogLine(LogLevel::kInfo, StrCat(parts...));
}
template <class... Parts>
void LogWarning(const Parts&... parts) {
  LogLine(LogLevel::kWarning, StrCat(parts...));
}
template <class... Parts>
void LogError(const Parts&... parts) {
  LogLine(LogLevel::kError, StrCat(parts...));
}

}  // namespace flame

#endif  // FLAME_BASE_LOG_H_
