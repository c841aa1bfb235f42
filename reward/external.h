// A user's program that gives phi.
#ifndef FLAME_REWARD_EXTERNAL_H_
#define FLAME_REWARD_EXTERNAL_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace flame {

// Runs a command by /bin/sh in a process group of its own. A line of its stdin is a question, a
// line of its stdout the answer to the oldest one without; both are docs/rewards.md's JSON objects.
// What it writes to stderr goes to this process's. It is ended, with all of its group, when this
// object or this process ends, a sudden death of this process included.
class ExternalProgram {
 public:
  // `deadline`: what the answers to one Ask may take.
  ExternalProgram(std::string command, std::chrono::milliseconds deadline);
  ~ExternalProgram();
  ExternalProgram(const ExternalProgram&) = delete;
  ExternalProgram& operator=(const ExternalProgram&) = delete;

  // Question i is a JSON object without line breaks whose "id" is i; gives the "phi" of each. Where
  // the program ends, is late or answers anything else (a phi of over 1e15 in size or a line of
  // over 64 KiB too) it is started anew and asked again, twice; then MachineError tells the
  // command, the last fault and the end of the program's stderr.
  std::vector<double> Ask(const std::vector<std::string>& questions);

  int64_t restarts() const { return restarts_; }

 private:
  void Start();
  void Stop();
  std::vector<std::string> Exchange(const std::string& text, size_t count);
  bool Ended(std::chrono::milliseconds moment, int* status);
  std::string ExitText();
  void TakeStderr();

  std::string command_;
  std::chrono::milliseconds deadline_;
  pid_t pid_ = -1, watcher_ = -1;
  int to_ = -1, from_ = -1, err_ = -1;  // ends of the program's stdin, stdout and stderr
  int watched_ = -1;                    // the watcher's stdin
  std::string said_;                    // the end of its stderr
  int64_t restarts_ = 0;
};

}  // namespace flame

#endif  // FLAME_REWARD_EXTERNAL_H_
