// A user's program that computes phi.
#ifndef FLAME_REWARD_EXTERNAL_H_
#define FLAME_REWARD_EXTERNAL_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.h"

namespace flame {

// Runs a command with /bin/sh in a process group of its own. Each line of its stdin is a question;
// each line of its stdout answers the oldest question without an answer. Both are JSON objects as
// in docs/rewards.md. Its stderr is passed on to this process's stderr. The program and its process
// group are killed when this object is destroyed or this process ends, even suddenly.
class ExternalProgram {
 public:
  // `deadline`: time limit for all answers to one Ask.
  ExternalProgram(std::string command, std::chrono::milliseconds deadline);
  ~ExternalProgram();
  ExternalProgram(const ExternalProgram&) = delete;
  ExternalProgram& operator=(const ExternalProgram&) = delete;

  // Returns the "phi" that answers each question. Question i must be a JSON object without line
  // breaks whose "id" is i. If the program ends, is late or gives any other answer (also |phi|
  // above 1e15 or a line over 64 KiB), it is restarted and asked again, twice; then throws
  // MachineError with the command, the last fault and the end of the program's stderr.
  std::vector<double> Ask(const std::vector<std::string>& questions);

  int64_t restarts() const { return restarts_; }

 private:
  void Start();
  void Stop();
  std::vector<std::string> Exchange(const std::string& text, size_t count);
  std::string ExitText();
  void TakeStderr();

  std::string command_;
  std::chrono::milliseconds deadline_;
  std::optional<ChildProcess> program_, watcher_;
  std::string said_;  // the end of the program's stderr
  int64_t restarts_ = 0;
};

}  // namespace flame

#endif  // FLAME_REWARD_EXTERNAL_H_
