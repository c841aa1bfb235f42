#include "launch/batch/slurm_program.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>

#include "base/error.h"

namespace flame {
namespace {

// Quotes a word for a shell: within single quotes every character but ' stands for itself.
std::string Quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

ProgramAnswer AskProgram(const std::vector<std::string>& words, int seconds, Errors errors) {
  std::string command = StrCat("exec timeout --foreground --kill-after=20 ", seconds);
  for (const std::string& word : words) command += " " + Quoted(word);
  if (errors == Errors::kInText) command += " 2>&1";
  FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) throw MachineError("cannot start ", words.at(0));
  ProgramAnswer answer;
  std::array<char, 4096> block;
  size_t count = 0;
  while ((count = fread(block.data(), 1, block.size(), pipe)) > 0) {
    answer.text.append(block.data(), count);
  }
  const int ended = pclose(pipe);
  answer.status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
  while (answer.text.ends_with('\n')) answer.text.pop_back();
  return answer;
}

}  // namespace flame
