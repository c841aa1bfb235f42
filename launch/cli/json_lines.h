// JSON lines on stdin and stdout: a question a line, an answer a line.
#ifndef FLAME_LAUNCH_CLI_JSON_LINES_H_
#define FLAME_LAUNCH_CLI_JSON_LINES_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace flame {

struct InputLine {
  int64_t number;  // from 1, blank lines counted
  std::string text;
};

// The lines of stdin that are not blank.
class InputLines {
 public:
  // Waits for a line, then returns up to `most` lines that arrive without delay; none at the end of
  // input. Throws MachineError if stdin cannot be read.
  std::vector<InputLine> Next(size_t most);

 private:
  bool HasLine() const { return buffer_.find('\n') != std::string::npos; }
  bool IsReadable() const;
  bool Read();  // false at the end of input

  std::string buffer_;
  int64_t number_ = 0;
  bool at_end_ = false;
};

// Parses a JSON object. Throws DataError on another JSON value, nlohmann::json::parse_error on
// other text.
nlohmann::json ParseLine(const std::string& line);

// Writes the line and flushes it. Throws MachineError if that fails.
void PrintLine(const nlohmann::json& answer);

// Returns body(). Errors that it throws get the line's number.
template <class Body>
auto ForLine(int64_t number, const Body& body) {
  try {
    return body();
  } catch (const nlohmann::json::parse_error& error) {
    throw DataError("line ", number, " of stdin: not JSON, at byte ", error.byte);
  } catch (const nlohmann::json::exception&) {
    throw DataError("line ", number, " of stdin: a member is of another type than expected");
  } catch (const Error& error) {
    throw Error(error.status(), StrCat("line ", number, " of stdin: ", error.what()));
  }
}

// Answers every line of stdin that is not blank.
void AnswerLines(const std::function<nlohmann::json(const nlohmann::json&)>& answer);

// Return a member. Throw DataError if it is missing or, for StringMember, no string.
const nlohmann::json& Member(const nlohmann::json& question, const char* name);
const std::string& StringMember(const nlohmann::json& question, const char* name);
// Throws DataError if more than one of `names` is present.
void CheckOneOf(const nlohmann::json& question, std::initializer_list<const char*> names);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_JSON_LINES_H_
