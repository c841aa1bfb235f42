// Splits tokens into the lines they write, and lines into the steps that get credit.
#ifndef FLAME_REWARD_SEGMENTATION_H_
#define FLAME_REWARD_SEGMENTATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// A line ends at a line break; a last stretch of at least one byte without a line break is a line
// too. Blank lines are lines.
struct Line {
  std::string text;        // without the line break
  int32_t last_token = 0;  // token of the line's last byte (the line break, if any)
};

struct Lines {
  std::vector<Line> lines;
  // [tokens]: the line (0-based) of the token's first byte; a line break belongs to the line it
  // ends. A token without bytes belongs to the next byte's line; -1 if no byte follows.
  std::vector<int32_t> line_of_token;
};

// `pieces[t]` is the bytes of token t, without the end-of-text token and what follows it.
// Worked example: {"as", "pirin", "\nfoo", "\n"} ->
//   lines {"aspirin", 2}, {"foo", 3}; line_of_token {0, 0, 0, 1}
Lines SplitLines(const std::vector<std::string_view>& pieces);

struct Segmentation {
  enum class Kind { kLines, kToken, kList };
  Kind kind = Kind::kLines;
  int32_t lines_per_step = 1;  // kLines: `drug` is 1, `chunk:k` is k
};

// Parses "drug", "token", "chunk:k" with k >= 1, or "list". Throws UsageError on anything else.
Segmentation ParseSegmentation(const std::string& text);

// Steps are 1-based. A line changes phi at the step to which the line is assigned.
struct Steps {
  int32_t num_steps = 0;
  std::vector<int32_t> step_of_line;
  std::vector<int16_t> step_of_token;  // -1: no step
};

//  lines: line l and its tokens belong to step l / lines_per_step + 1.
//  token: token t is step t + 1; a line changes phi at the token that holds its last byte.
//  list:  every line belongs to one step; no steps if there are no lines.
// Throws DataError if there are more than 32767 steps.
Steps AssignSteps(const Lines& lines, const Segmentation& segmentation);

}  // namespace flame

#endif  // FLAME_REWARD_SEGMENTATION_H_
