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
constexpr size_t kMostShown = 200;  // bytes of an answer in a message

// Why an attempt failed.
struct Fault {
  std::string text;
};

// Ends of pipes that a later program must not inherit.
void OpenPipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) throw MachineError("pipe: ", std::strerror(errno));
}

// The "phi" of an answer to question `id`.
double PhiOf(const std::string& line, size_t id) {
  const auto answer = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const bool right = answer.is_object() && answer.contains("id") && answer["id"] == id &&
                     answer.contains("phi") && answer["phi"].is_number() &&
                     std::isfinite(answer["phi"].get<double>());
  if (!right) {
    throw Fault{StrCat("it answered '", line.substr(0, kMostShown), "'; expected {\"id\": ", id,
                       ", \"phi\": a finite number}")};
  }
  return answer["phi"].get<double>();
}

}  // namespace

ExternalProgram::ExternalProgram(std::string command, std::chrono::milliseconds deadline)
    : command_(std::move(command)), deadline_(deadline) {
  // A program that ended must be an error of its write, not the end of this process.
  signal(SIGPIPE, SIG_IGN);
}

ExternalProgram::~ExternalProgram() { Stop(); }

void ExternalProgram::Start() {
  int in[2], out[2];
  OpenPipe(in);
  OpenPipe(out);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  const char* arguments[] = {"sh", "-c", command_.c_str(), nullptr};
  const int error = posix_spawn(&pid_, "/bin/sh", &files, &attributes,
                                const_cast<char* const*>(arguments), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(in[0]), close(out[1]);
  to_ = in[1], from_ = out[0];
  if (error != 0) {
    pid_ = -1;
    Stop();
    throw MachineError("reward.external: cannot start /bin/sh: ", std::strerror(error));
  }
  fcntl(to_, F_SETFL, O_NONBLOCK);
  fcntl(from_, F_SETFL, O_NONBLOCK);
}

void ExternalProgram::Stop() {
  if (to_ >= 0) close(to_);
  if (from_ >= 0) close(from_);
  to_ = from_ = -1;
  if (pid_ < 0) return;
  // A moment to end by itself, behind the end of its input.
  for (int i = 0; i < 20; ++i) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      kill(-pid_, SIGKILL);  // what it may have started
      pid_ = -1;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(-pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

// How the program ended, where it did.
std::string ExternalProgram::ExitText() {
  int status = 0;
  for (int i = 0; i < 100; ++i) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      kill(-pid_, SIGKILL);
      pid_ = -1;
      if (WIFSIGNALED(status)) return StrCat("it was ended by signal ", WTERMSIG(status));
      return StrCat("it ended with status ", WEXITSTATUS(status));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return "it closed its output";
}

// Writes and reads side by side, so that neither pipe fills up for good.
std::vector<std::string> ExternalProgram::Exchange(const std::string& text, size_t count) {
  const auto end = Clock::now() + deadline_;
  size_t written = 0;
  std::string buffer;
  std::vector<std::string> lines;
  while (lines.size() < count) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) {
      throw Fault{StrCat("it gave ", lines.size(), " of ", count, " answers in ",
                         static_cast<double>(deadline_.count()) / 1000, " s")};
    }
    pollfd polled[2] = {{from_, POLLIN, 0}, {to_, POLLOUT, 0}};
    poll(polled, written < text.size() ? 2 : 1, static_cast<int>(std::min<int64_t>(left, 1000)));
    if (written < text.size() && (polled[1].revents & (POLLOUT | POLLERR)) != 0) {
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
      Stop();
      if (attempt == kAttempts) {
        throw MachineError("reward.external '", command_, "' failed ", kAttempts,
                           " times in a row: ", fault.text);
      }
      LogWarning("reward.external '", command_, "': ", fault.text, "; it is started anew");
      ++restarts_;
    }
  }
}

}  // namespace flame
