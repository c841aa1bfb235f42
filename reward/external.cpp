#include "reward/external.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

namespace flame {
namespace {

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

// A command of the shell in a process group of its own.
ChildProcess::Options Shell(const std::string& command, ChildProcess::Stream streams) {
  ChildProcess::Options options;
  options.words = {"/bin/sh", "-c", command};
  options.in = ChildProcess::Stream::kPipe;
  options.out = options.err = streams;
  options.own_group = true;
  return options;
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
  said_.clear();
  program_.emplace(Shell(command_, ChildProcess::Stream::kPipe));
  for (const int end : {program_->in(), program_->out(), program_->err()}) {
    fcntl(end, F_SETFL, O_NONBLOCK);
  }
  // Ends the program's group when the writing end of its stdin, which only this process holds,
  // closes: by Stop, or by the death of this process, however sudden. A program that does not read
  // its own stdin would outlive this process.
  watcher_.emplace(
      Shell(StrCat("read end; kill -9 -", program_->pid()), ChildProcess::Stream::kNothing));
}

void ExternalProgram::Stop() {
  if (program_) {
    program_->ClosePipes();
    program_->Ended(kMomentToEnd);
    program_.reset();
  }
  // After the program: from here on its group's number may be another's.
  if (watcher_) watcher_->Kill();
  watcher_.reset();
}

// How the program ended, if it did.
std::string ExternalProgram::ExitText() {
  const std::optional<int> status = program_->Ended(kMomentToEnd);
  if (!status) return "it closed its output";
  if (*status > 128) return StrCat("it was ended by signal ", *status - 128);
  return StrCat("it ended with status ", *status);
}

// Passes on what the program wrote to stderr and keeps its end for messages. Reads at most one
// buffer at a time: a program that never stops writing must not hold up the deadline.
void ExternalProgram::TakeStderr() {
  char bytes[1 << 16];
  const ssize_t size = read(program_->err(), bytes, sizeof bytes);
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
    pollfd polled[3] = {
        {program_->out(), POLLIN, 0}, {program_->err(), POLLIN, 0}, {program_->in(), POLLOUT, 0}};
    // A closed stderr would end every poll at once.
    if (stderr_closed) polled[1].fd = -1;
    poll(polled, written < text.size() ? 3 : 2, static_cast<int>(std::min<int64_t>(left, 1000)));
    TakeStderr();
    stderr_closed = stderr_closed || (polled[1].revents & POLLHUP) != 0;
    if (written < text.size() && (polled[2].revents & (POLLOUT | POLLERR)) != 0) {
      const ssize_t size = write(program_->in(), text.data() + written, text.size() - written);
      if (size < 0 && errno != EAGAIN && errno != EINTR) throw Fault{ExitText()};
      written += static_cast<size_t>(std::max<ssize_t>(size, 0));
    }
    if ((polled[0].revents & (POLLIN | POLLHUP)) == 0) continue;
    char bytes[65536];
    const ssize_t size = read(program_->out(), bytes, sizeof bytes);
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
      if (!program_) Start();
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
