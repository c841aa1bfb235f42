// Programs as children of this process.
#ifndef FLAME_BASE_CHILD_PROCESS_H_
#define FLAME_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flame {

// One child. Its end is waited for: when this object dies, the child is killed if it still runs.
class ChildProcess {
 public:
  enum class Stream {
    kNothing,   // /dev/null
    kInherit,   // this process's own
    kPipe,      // in(), out() or err()
    kFile,      // appended to Options::file
    kAsOutput,  // stderr alone: where stdout goes
  };
  struct Options {
    std::vector<std::string> words;                       // the program, found by PATH, first
    std::optional<std::vector<std::string>> environment;  // "NAME=VALUE"; none: this process's
    Stream in = Stream::kNothing, out = Stream::kInherit, err = Stream::kInherit;
    std::filesystem::path file;
    // A process group of its own: signals reach what the child started too, and what is left of the
    // group is killed when the child ends.
    bool own_group = false;
    // SIGKILL when the thread that started it ends, as when this process dies.
    bool dies_with_parent = false;
  };

  // Throws MachineError, naming the program and the cause, if it cannot be started.
  explicit ChildProcess(const Options& options);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  // This process's ends of the pipes, closed on exec; -1 if the stream is no pipe or was closed.
  int in() const { return in_; }
  int out() const { return out_; }
  int err() const { return err_; }
  void ClosePipes();

  // The exit status once the child has ended, 128 + N if signal N ended it; nothing if it still
  // runs after `wait`.
  std::optional<int> Ended(std::chrono::milliseconds wait = std::chrono::milliseconds(0));
  void Signal(int number) const;  // does nothing after the child's end
  // Kills the child if it still runs, and waits for its end.
  void Kill();
  pid_t pid() const { return pid_; }

 private:
  void Take(ChildProcess* other);
  pid_t pid_ = -1;
  bool own_group_ = false;
  std::optional<int> status_;
  int in_ = -1, out_ = -1, err_ = -1;
};

// What a program printed.
struct ProgramAnswer {
  int status =
      0;  // exit status; kOutOfTime if it was ended for that, kNotStarted if it cannot start
  std::string text;  // without the line breaks at its end
};
inline constexpr int kOutOfTime = 124, kNotStarted = 127;

enum class Errors { kInText, kOnStderr };

// Runs `words`, the program first, for at most `limit`. Its stderr joins the text, or goes where
// this process's does. A program that cannot be started is an answer too, with the cause as text.
ProgramAnswer AskProgram(const std::vector<std::string>& words, std::chrono::seconds limit,
                         Errors errors);

// Environment variable of processes that are no ranks but share a machine: the place of this one
// among them, from 0.
inline constexpr char kPlaceVariable[] = "FLAME_PLACE";

// Starts `flame WORDS` with its output appended to `log`. It is no rank of the job that this
// process may be in, and dies with this process. `place` (from 0) among the children at work picks
// its GPU, as a rank's place on its machine does. Throws MachineError.
ChildProcess StartFlame(const std::vector<std::string>& words, const std::filesystem::path& log,
                        int place);

}  // namespace flame

#endif  // FLAME_BASE_CHILD_PROCESS_H_
