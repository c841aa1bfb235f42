#include "reward/external.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"

extern char** environ;

namespace flame {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kAttempts = 3;
constexpr std::chrono::milliseconds kMomentToEnd(200);  // grace after its stdin or stdout closed
constexpr size_t kMostShown = 200;                      // bytes of an answer shown in a message
constexpr size_t kMostOfAnswer = 1 << 16;  // longest line, in bytes, that is still waited for
constexpr size_t kMostOfStderr = 1 << 10;  // bytes kept of the program's stderr
// Keeps differences of phi and their squares far from float32's largest number.
constexpr double kLargestPhi = 1e15;

// Thrown within an attempt: why it failed.
struct Fault {
  std::string text;
};

// Opens a pipe whose ends later programs do not inherit.
void OpenPipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) throw MachineError("pipe: ", std::strerror(errno));
}

void Close(int* end) {
  if (*end >= 0) close(*end);
  *end = -1;
}

// Starts a command in a process group of its own with these pipe ends as its streams; -1 sends a
// stream to /dev/null. The command inherits no other descriptor of this process.
pid_t StartShell(const std::string& command, int in, int out, int err) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
  for (const auto& [end, stream] : {std::pair{out, STDOUT_FILENO}, {err, STDERR_FILENO}}) {
    if (end >= 0) {
      posix_spawn_file_actions_adddup2(&files, end, stream);
    } else {
      posix_spawn_file_actions_addopen(&files, stream, "/dev/null", O_WRONLY, 0);
    }
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  const char* arguments[] = {"sh", "-c", command.c_str(), nullptr};
  pid_t shell = -1;
  const int error = posix_spawn(&shell, "/bin/sh", &files, &attributes,
                                const_cast<char* const*>(arguments), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    throw MachineError("reward.external: cannot start /bin/sh: ", std::strerror(error));
  }
  return shell;
}

// Returns the "phi" of an answer to question `id`; throws Fault on any other answer.
double PhiOf(const std::string& line, size_t id) {
  const auto answer = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool right = answer.is_object() && answer.contains("id") && answer["id"] == id &&
                     answer.contains("phi") && answer["phi"].is_number() &&
                     std::abs(answer["phi"].get<double>()) <= kLargestPhi;
  if (!right) {
    throw Fault{StrCat("it answered '", line.substr(0, kMostShown), "'; expected {\"id\": ", id,
                       ", \"phi\": a number of at most ", kLargestPhi, " in size}")};
  }
  return answer["phi"].get<double>();
}

}  // namespace

ExternalProgram::ExternalProgram(std::string command, std::chrono::milliseconds deadline)
    : command_(std::move(command)), deadline_(deadline) {
  // A write to a program that ended must fail as a write, not end this process.
  signal(SIGPIPE, SIG_IGN);
}

ExternalProgram::~ExternalProgram() { Stop(); }

void ExternalProgram::Start() {
  int in[2], out[2], err[2], watch[2];
  for (int* ends : {in, out, err, watch}) OpenPipe(ends);
  to_ = in[1], from_ = out[0], err_ = err[0], watched_ = watch[1];
  said_.clear();
  for (const int end : {to_, from_, err_}) fcntl(end, F_SETFL, O_NONBLOCK);
  pid_ = StartShell(command_, in[0], out[1], err[1]);
  // The watcher kills the program's group when the write end of the watcher's stdin closes. Only
  // this process holds that end, so Stop or the death of this process, however sudden, closes it.
  // Without the watcher, a program that does not read its own stdin would outlive this process.
  watcher_ = StartShell(StrCat("read end; kill -9 -", pid_), watch[0], -1, -1);
  for (const int end : {in[0], out[1], err[1], watch[0]}) close(end);
}

void ExternalProgram::Stop() {
  Close(&to_), Close(&from_), Close(&err_);
  if (pid_ >= 0) {
    int status;
    if (!Ended(kMomentToEnd, &status)) {
      kill(-pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
  }
  // The watcher goes after the program, whose group number may be reused from here on.
  if (watcher_ >= 0) {
    kill(watcher_, SIGKILL);
    waitpid(watcher_, nullptr, 0);
    watcher_ = -1;
  }
  Close(&watched_);
}

// True if the program ended within `moment`; then also kills what it started.
bool ExternalProgram::Ended(std::chrono::milliseconds moment, int* status) {
  for (const auto end = Clock::now() + moment;;) {
    if (waitpid(pid_, status, WNOHANG) == pid_) {
      kill(-pid_, SIGKILL);
      return true;
    }
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// Says how the program ended, or that it only closed its output.
std::string ExternalProgram::ExitText() {
  int status = 0;
  if (!Ended(kMomentToEnd, &status)) return "it closed its output";
  pid_ = -1;
  if (WIFSIGNALED(status)) return StrCat("it was ended by signal ", WTERMSIG(status));
  return StrCat("it ended with status ", WEXITSTATUS(status));
}

// Passes on what the program wrote to stderr and keeps its end for messages. Reads at most one
// buffer at a time: a program that never stops writing must not hold up the deadline.
void ExternalProgram::TakeStderr() {
  char bytes[1 << 16];
  const ssize_t size = read(err_, bytes, sizeof bytes);
  if (size <= 0) return;
  (void)!write(STDERR_FILENO, bytes, static_cast<size_t>(size));
  said_.append(bytes, static_cast<size_t>(size));
  if (said_.size() > kMostOfStderr) said_.erase(0, said_.size() - kMostOfStderr);
}

// Writes and reads in turn, so that neither pipe stays full.
std::vector<std::string> ExternalProgram::Exchange(const std::string& text, size_t count) {
  const auto end = Clock::now() + deadline_;
  size_t written = 0;
  bool stderr_closed = false;
  std::string buffer;
  std::vector<std::string> lines;
  while (lines.size() < count) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) {
      throw Fault{StrCat("it gave ", lines.size(), " of ", count, " answers in ",
                         static_cast<double>(deadline_.count()) / 1000, " s")};
    }
    pollfd polled[3] = {{from_, POLLIN, 0}, {err_, POLLIN, 0}, {to_, POLLOUT, 0}};
    // A closed stderr would end every poll at once.
    if (stderr_closed) polled[1].fd = -1;
    poll(polled, written < text.size() ? 3 : 2, static_cast<int>(std::min<int64_t>(left, 1000)));
    TakeStderr();
    stderr_closed = stderr_closed || (polled[1].revents & POLLHUP) != 0;
    if (written < text.size() && (polled[2].revents & (POLLOUT | POLLERR)) != 0) {
      const ssize_t size = write(to_, text.data() + written, text.size() - written);
      if (size < 0 && errno != EAGAIN && errno != EINTR) throw Fault{ExitText()};
      written += static_cast<size_t>(std::max<ssize_t>(size, 0));
    }
    if ((polled[0].revents & (POLLIN | POLLHUP)) == 0) continue;
    char bytes[65536];
    const ssize_t size = read(from_, bytes, sizeof bytes);
    if (size == 0) throw Fault{ExitText()};
    if (size < 0) continue;
    buffer.append(bytes, static_cast<size_t>(size));
    size_t begin = 0;
    for (size_t stop; (stop = buffer.find('\n', begin)) != std::string::npos; begin = stop + 1) {
      lines.push_back(buffer.substr(begin, stop - begin));
    }
    buffer.erase(0, begin);
    if (buffer.size() > kMostOfAnswer) {
      throw Fault{StrCat("it answered a line of over ", kMostOfAnswer, " bytes, '",
                         buffer.substr(0, kMostShown), "...'")};
    }
  }
  if (lines.size() > count || !buffer.empty()) {
    throw Fault{StrCat("it gave more than ", count, " answers")};
  }
  return lines;
}

std::vector<double> ExternalProgram::Ask(const std::vector<std::string>& questions) {
  std::string text;
  for (const std::string& question : questions) text += question + "\n";
  for (int attempt = 1;; ++attempt) {
    try {
      if (pid_ < 0) Start();
      std::vector<double> phi;
      for (const std::string& line : Exchange(text, questions.size())) {
        phi.push_back(PhiOf(line, phi.size()));
      }
      return phi;
    } catch (const Fault& fault) {
      TakeStderr();
      Stop();
      if (attempt == kAttempts) {
        throw MachineError("reward.external '", command_, "' failed ", kAttempts,
                           " times in a row: ", fault.text,
                           said_.empty() ? "" : "; the end of its stderr: ", said_);
      }
      LogWarning("reward.external '", command_, "': ", fault.text, "; it is started anew");
      ++restarts_;
    }
  }
}

}  // namespace flame
