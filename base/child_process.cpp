#include "base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/files/program_files.h"

namespace flame {
namespace {

// Returns this process's environment without the variables that mark an MPI rank, and with
// kPlaceVariable set to `place`.
std::vector<std::string> EnvironmentOfOneProcess(int place) {
  std::vector<std::string> rest = {StrCat(kPlaceVariable, "=", place)};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!text.starts_with("OMPI_") && !text.starts_with("PMIX_") &&
        !text.starts_with(kPlaceVariable))
      rest.push_back(text);
  }
  return rest;
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

pid_t StartFlame(const std::vector<std::string>& words, const std::filesystem::path& log,
                 int place) {
  std::vector<std::string> arguments = {"flame"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  std::vector<std::string> environment = EnvironmentOfOneProcess(place);
  const std::vector<char*> argv = Pointers(&arguments), envp = Pointers(&environment);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const std::string program = FlameProgram().string();
  const pid_t parent = getpid();
  const pid_t child = output < 0 || input < 0 ? -1 : fork();
  const int cause = errno;
  if (child == 0) {
    // prctl does not notice a parent that died before the call; getppid() does.
    const bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
                       dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
                       dup2(output, STDERR_FILENO) >= 0;
    if (ready) execve(program.c_str(), argv.data(), envp.data());
    _exit(static_cast<int>(ExitStatus::kMachine));
  }
  if (output >= 0) close(output);
  if (input >= 0) close(input);
  if (child < 0) {
    throw MachineError("cannot start flame ", words.front(), " with its output in ", log.string(),
                       ": ", std::strerror(cause));
  }
  return child;
}

std::optional<int> ExitStatusOf(pid_t child) {
  int status = 0;
  const pid_t ended = waitpid(child, &status, WNOHANG);
  if (ended == 0) return std::nullopt;
  if (ended < 0)
    throw MachineError("process ", child, ": cannot wait for it: ", std::strerror(errno));
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace flame
