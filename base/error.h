// Errors that carry the exit status of the program.
#ifndef FLAME_BASE_ERROR_H_
#define FLAME_BASE_ERROR_H_

#include <sstream>
#include <stdexcept>
#include <string>

namespace flame {

enum class ExitStatus { kDone = 0, kUsage = 2, kData = 3, kMachine = 4, kResumable = 75 };

// Concatenates its arguments as operator<< prints them.
template <class... Parts>
std::string StrCat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// A message says what was expected, what was found and where.
class Error : public std::runtime_error {
 public:
  Error(ExitStatus status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  ExitStatus status() const { return status_; }

 private:
  ExitStatus status_;
};

// A wrong command line or config: exit status 2.
class UsageError : public Error {
 public:
  template <class... Parts>
  explicit UsageError(const Parts&... parts) : Error(ExitStatus::kUsage, StrCat(parts...)) {}
};

// Input that is missing, malformed or corrupt: exit status 3.
class DataError : public Error {
 public:
  template <class... Parts>
  explicit DataError(const Parts&... parts) : Error(ExitStatus::kData, StrCat(parts...)) {}
};

// A rank, disk or library failed: exit status 4.
class MachineError : public Error {
 public:
  template <class... Parts>
  explicit MachineError(const Parts&... parts) : Error(ExitStatus::kMachine, StrCat(parts...)) {}
};

// Work stopped early on a signal after saving: exit status 75.
class Stopped : public Error {
 public:
  template <class... Parts>
  explicit Stopped(const Parts&... parts) : Error(ExitStatus::kResumable, StrCat(parts...)) {}
};

}  // namespace flame

#endif  // FLAME_BASE_ERROR_H_
