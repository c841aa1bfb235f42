#include "launch/program/run.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "base/error.h"

namespace flame {

void FlushStdout() {
  if (!std::cout.flush()) throw MachineError("stdout: cannot write: ", std::strerror(errno));
}

int RunCommand(const Commands& commands, const Arguments& words) {
  const auto command = words.empty() ? commands.end() : commands.find(words[0]);
  if (command == commands.end()) {
    throw UsageError("this program runs commands for flame; expected flame to be started");
  }
  const ParsedOptions options =
      ParseOptions(FindDeclaration(words[0]), {words.begin() + 1, words.end()});
  const int status = command->second(options);
  FlushStdout();
  return status;
}

int StatusOf(const std::function<int()>& run) {
  try {
    return run();
  } catch (const Error& error) {
    std::fprintf(stderr, "flame: %s\n", error.what());
    return static_cast<int>(error.status());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flame: %s\n", error.what());
    return static_cast<int>(ExitStatus::kMachine);
  }
}

}  // namespace flame
