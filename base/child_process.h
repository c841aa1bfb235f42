// Starts programs as child processes.
#ifndef FLAME_BASE_CHILD_PROCESS_H_
#define FLAME_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flame {

// A child process. The destructor kills it if it still runs, and waits for its end.
class ChildProcess {
 public:
  enum class Stream {
    kNothing,   // /dev/null
    kInherit,   // this process's own
    kPipe,      // in(), out() or err()
    kFile,      // appended to Options::file
    kAsOutput,  // for err only: the child's stdout
  };
  struct Options {
    std::vector<std::string> words;  // the program, found by PATH, first
    // "NAME=VALUE"; nullopt: this process's environment.
    std::optional<std::vector<std::string>> environment;
    Stream in = Stream::kNothing, out = Stream::kInherit, err = Stream::kInherit;
    std::filesystem::path file;
    // If true, the child leads a new process group: signals reach what the child started too, and
    // what is left of the group is killed when the child ends.
    bool own_group = false;
    // If true, the child gets SIGKILL when the thread that started it ends, thus also when this
    // process dies.
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

  // Returns the exit status once the child has ended: 128 + N if signal N ended it; 137 after
  // Kill() of a running child. Returns nullopt if it still runs after `wait`.
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

// The text a program printed.
struct ProgramAnswer {
  // The exit status; kOutOfTime if the program was killed at the limit, kNotStarted if it could not
  // be started.
  int status = 0;
  std::string text;  // without the line breaks at its end
};
inline constexpr int kOutOfTime = 124, kNotStarted = 127;

enum class Errors { kInText, kOnStderr };

// Runs `words`, the program first, for at most `limit`. kInText: stderr joins the text; kOnStderr:
// stderr is inherited. A program that cannot be started is an answer too, with the cause as text.
ProgramAnswer AskProgram(const std::vector<std::string>& words, std::chrono::seconds limit,
                         Errors errors);

// Environment variable that numbers, from 0, the flame processes that a sweep runs on this machine.
// The number selects the GPU.
inline constexpr char kPlaceVariable[] = "FLAME_PLACE";

// Starts `flame WORDS` with its output appended to `log`. It is not a rank of this process's job,
// and it is killed when the starting thread ends. `place` (from 0) among the children at work picks
// its GPU, as a rank's place on its machine does. Throws MachineError.
ChildProcess StartFlame(const std::vector<std::string>& words, const std::filesystem::path& log,
                        int place);

}  // namespace flame

#endif  // FLAME_BASE_CHILD_PROCESS_H_
