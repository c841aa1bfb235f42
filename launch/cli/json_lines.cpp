#include "launch/cli/json_lines.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>

namespace flame {

using nlohmann::json;

std::vector<InputLine> InputLines::Next(size_t most) {
  std::vector<InputLine> lines;
  while (lines.size() < most && (lines.empty() || HasLine() || IsReadable())) {
    if (!HasLine() && Read()) continue;
    if (buffer_.empty()) break;
    const size_t size = std::min(buffer_.find('\n'), buffer_.size());
    ++number_;
    if (buffer_.find_first_not_of(" \t\r") < size) {
      lines.push_back({number_, buffer_.substr(0, size)});
    }
    buffer_.erase(0, size + 1);
  }
  return lines;
}

bool InputLines::IsReadable() const {
  constexpr int kMilliseconds = 2;  // between two writes of one who sends many lines
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  return !at_end_ && poll(&input, 1, kMilliseconds) > 0;
}

bool InputLines::Read() {
  char bytes[65536];
  ssize_t size = -1;
  while (!at_end_ && (size = read(STDIN_FILENO, bytes, sizeof bytes)) < 0 && errno == EINTR) {
  }
  if (!at_end_ && size < 0) throw MachineError("cannot read stdin: ", std::strerror(errno));
  at_end_ = size <= 0;
  if (!at_end_) buffer_.append(bytes, size);
  return !at_end_;
}

json ParseLine(const std::string& line) {
  json question = json::parse(line);
  if (!question.is_object()) throw DataError("expected a JSON object, found ", line);
  return question;
}

void PrintLine(const json& answer) {
  if (!(std::cout << answer.dump() << std::endl)) {
    throw MachineError("cannot write its answer to stdout");
  }
}

void AnswerLines(const std::function<json(const json&)>& answer) {
  InputLines lines;
  while (true) {
    const std::vector<InputLine> next = lines.Next(1);
    if (next.empty()) return;
    ForLine(next[0].number, [&] { PrintLine(answer(ParseLine(next[0].text))); });
  }
}

const json& Member(const json& question, const char* name) {
  if (!question.contains(name)) {
    throw DataError("expected a member '", name, "', found ", question.dump());
  }
  return question[name];
}

const std::string& StringMember(const json& question, const char* name) {
  const json& value = Member(question, name);
  if (!value.is_string()) {
    throw DataError("'", name, "' is ", value.dump(), "; expected a string");
  }
  return value.get_ref<const std::string&>();
}

void CheckOneOf(const json& question, std::initializer_list<const char*> names) {
  std::string found;
  for (const char* name : names) {
    if (!question.contains(name)) continue;
    if (!found.empty()) {
      throw DataError("'", found, "' and '", name, "' are both there; expected one of them");
    }
    found = name;
  }
}

}  // namespace flame
