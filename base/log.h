// Log lines on stderr and, once a file is set, in it. glog is behind this header.
#ifndef FLAME_BASE_LOG_H_
#define FLAME_BASE_LOG_H_

#include <string>

#include "base/error.h"

namespace flame {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Lines below `level` do not go to stderr; `rank` (-1: none) is shown in each line.
void InitLogging(LogLevel level, int rank);
LogLevel ShownLogLevel();
// Of "debug", "info", "warning", "error". Throws UsageError.
LogLevel ParseLogLevel(const std::string& name);
// From here on lines of info and above, and those that stderr shows, are appended to `path` too.
void LogToFile(const std::string& path);
void LogLine(LogLevel level, const std::string& text);
// A line of information for the file alone.
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
