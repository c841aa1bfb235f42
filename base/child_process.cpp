#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/files/program_files.h"

namespace flame {
namespace {

using Stream = ChildProcess::Stream;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kNap(2);

// Closed when it goes, as a child's end of a pipe must be in this process.
struct Descriptor {
  Descriptor() = default;
  explicit Descriptor(int number) : number(number) {}
  ~Descriptor() {
    if (number >= 0) close(number);
  }
  Descriptor(Descriptor&& other) noexcept : number(std::exchange(other.number, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number, other.number);
    return *this;
  }
  int Release() { return std::exchange(number, -1); }
  int number = -1;
};

struct Pipe {
  Descriptor read, write;
};

Pipe OpenPipe() {
  int ends[2];
  // Other children must not inherit them: a pipe ends when its last writer closes it.
  if (pipe2(ends, O_CLOEXEC) != 0) throw MachineError("pipe: ", std::strerror(errno));
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

Descriptor Open(const std::filesystem::path& path, int flags) {
  Descriptor file(open(path.c_str(), flags | O_CLOEXEC, 0666));
  if (file.number < 0) throw MachineError(path.string(), ": ", std::strerror(errno));
  return file;
}

// The child's end of one stream, -1 if it inherits it, and this process's end of a pipe.
struct StreamEnds {
  Descriptor child, own;
};

StreamEnds EndsOf(Stream stream, bool is_input, const std::filesystem::path& file) {
  switch (stream) {
    case Stream::kNothing:
      return {Open("/dev/null", O_RDWR), {}};
    case Stream::kFile:
      return {Open(file, O_WRONLY | O_CREAT | O_APPEND), {}};
    case Stream::kPipe: {
      Pipe pipe = OpenPipe();
      if (is_input) return {std::move(pipe.read), std::move(pipe.write)};
      return {std::move(pipe.write), std::move(pipe.read)};
    }
    case Stream::kInherit:
    case Stream::kAsOutput:
      return {};
  }
  return {};
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The child runs this between fork and exec: system calls alone, since another thread may have held
// a lock of the heap. Returns only if a step failed, with errno.
void BecomeProgram(const ChildProcess::Options& options, pid_t parent, const StreamEnds (&ends)[3],
                   char* const* argv, char* const* envp) {
  if (options.dies_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
    // A parent that died before prctl goes unnoticed by it.
    if (getppid() != parent) _exit(static_cast<int>(ExitStatus::kMachine));
  }
  if (options.own_group && setpgid(0, 0) != 0) return;
  signal(SIGPIPE, SIG_DFL);
  signal(SIGXFSZ, SIG_DFL);
  for (int stream = 0; stream < 3; ++stream) {
    const int from = ends[stream].child.number;
    if (from >= 0 && dup2(from, stream) < 0) return;
  }
  if (options.err == Stream::kAsOutput && dup2(STDOUT_FILENO, STDERR_FILENO) < 0) return;
  execvpe(argv[0], argv, envp);
}

// The environment without what tells a process that it is a rank.
std::vector<std::string> EnvironmentOfOneProcess(int place) {
  std::vector<std::string> rest = {StrCat(kPlaceVariable, "=", place)};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool tells =
        text.starts_with("OMPI_") || text.starts_with("PMIX_") || text.starts_with(kPlaceVariable);
    if (!tells) rest.push_back(text);
  }
  return rest;
}

}  // namespace

ChildProcess::ChildProcess(const Options& options) : own_group_(options.own_group) {
  std::vector<std::string> words = options.words;
  std::vector<std::string> environment = options.environment.value_or(std::vector<std::string>());
  const std::vector<char*> argv = Pointers(&words), given = Pointers(&environment);
  char* const* envp = options.environment ? given.data() : environ;
  StreamEnds ends[3] = {EndsOf(options.in, true, options.file),
                        EndsOf(options.out, false, options.file),
                        EndsOf(options.err, false, options.file)};
  // The child's errno, if it cannot become the program; a program that runs closes it.
  Pipe failure = OpenPipe();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    BecomeProgram(options, parent, ends, argv.data(), envp);
    const int cause = errno;
    (void)!write(failure.write.number, &cause, sizeof cause);
    _exit(kNotStarted);
  }
  if (child < 0) throw MachineError("cannot start ", words[0], ": ", std::strerror(errno));
  pid_ = child;
  if (own_group_) setpgid(child, child);  // whoever of both is first
  failure.write = Descriptor();
  int cause = 0;
  while (read(failure.read.number, &cause, sizeof cause) < 0 && errno == EINTR) {
  }
  if (cause != 0) {
    waitpid(child, nullptr, 0);
    pid_ = -1;
    throw MachineError("cannot start ", words[0], ": ", std::strerror(cause));
  }
  in_ = ends[0].own.Release(), out_ = ends[1].own.Release(), err_ = ends[2].own.Release();
}

ChildProcess::~ChildProcess() {
  ClosePipes();
  Kill();
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept { Take(&other); }

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  ClosePipes();
  Kill();
  Take(&other);
  return *this;
}

void ChildProcess::Take(ChildProcess* other) {
  pid_ = std::exchange(other->pid_, -1);
  own_group_ = other->own_group_;
  status_ = other->status_;
  in_ = std::exchange(other->in_, -1);
  out_ = std::exchange(other->out_, -1);
  err_ = std::exchange(other->err_, -1);
}

void ChildProcess::ClosePipes() {
  for (int* end : {&in_, &out_, &err_}) {
    if (*end >= 0) close(*end);
    *end = -1;
  }
}

std::optional<int> ChildProcess::Ended(Milliseconds wait) {
  const auto deadline = Clock::now() + wait;
  while (pid_ >= 0) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) {
      if (own_group_) kill(-pid_, SIGKILL);
      status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      pid_ = -1;
    } else if (ended < 0 && errno != EINTR) {
      throw MachineError("process ", pid_, ": cannot wait for it: ", std::strerror(errno));
    } else if (Clock::now() >= deadline) {
      return std::nullopt;
    } else {
      std::this_thread::sleep_for(kNap);
    }
  }
  return status_;
}

void ChildProcess::Signal(int number) const {
  if (pid_ >= 0) kill(own_group_ ? -pid_ : pid_, number);
}

void ChildProcess::Kill() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  status_ = 128 + SIGKILL;
  pid_ = -1;
}

ProgramAnswer AskProgram(const std::vector<std::string>& words, std::chrono::seconds limit,
                         Errors errors) {
  ChildProcess::Options options;
  options.words = words;
  options.out = Stream::kPipe;
  if (errors == Errors::kInText) options.err = Stream::kAsOutput;
  options.own_group = true;
  const auto deadline = Clock::now() + limit;
  const auto left = [&] {
    return std::max(Milliseconds(0),
                    std::chrono::duration_cast<Milliseconds>(deadline - Clock::now()));
  };
  ProgramAnswer answer;
  std::optional<ChildProcess> child;
  try {
    child.emplace(options);
  } catch (const MachineError& error) {
    return {kNotStarted, error.what()};
  }
  std::array<char, 4096> block;
  while (true) {
    pollfd output = {child->out(), POLLIN, 0};
    const int ready = poll(&output, 1, static_cast<int>(left().count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    const ssize_t count = read(child->out(), block.data(), block.size());
    if (count <= 0) break;
    answer.text.append(block.data(), static_cast<size_t>(count));
  }
  answer.status = child->Ended(left()).value_or(kOutOfTime);
  while (answer.text.ends_with('\n')) answer.text.pop_back();
  return answer;
}

ChildProcess StartFlame(const std::vector<std::string>& words, const std::filesystem::path& log,
                        int place) {
  ChildProcess::Options options;
  options.words = {FlameProgram().string()};
  options.words.insert(options.words.end(), words.begin(), words.end());
  options.environment = EnvironmentOfOneProcess(place);
  options.out = options.err = Stream::kFile;
  options.file = log;
  options.dies_with_parent = true;
  return ChildProcess(options);
}

}  // namespace flame
