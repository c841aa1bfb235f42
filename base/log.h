// Log lines on stderr and, once a file is set, in it. glog is behind this header.
#ifndef FLAME_BASE_LOG_H_
#define FLAME_BASE_LOG_H_

#include <string>

#include "base/error.h"

namespace flame {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Call once at start. Lines below `level` are dropped; `rank` (-1: none) is shown in each line.
void InitLogging(LogLevel level, int rank);
// From here on lines are appended to `path` too.
void LogToFile(const std::string& path);
void LogLine(LogLevel level, const std::string& text);

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
