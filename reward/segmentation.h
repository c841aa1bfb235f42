// From tokens to the lines they write, and from lines to the steps that credit is given for.
#ifndef FLAME_REWARD_SEGMENTATION_H_
#define FLAME_REWARD_SEGMENTATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// A line is what a line break ends, or a last stretch of at least one byte that none ends. Blank
// lines are lines.
struct Line {
  std::string text;        // without the line break
  int32_t last_token = 0;  // the token that holds the line's last byte (the line break, if any)
};

struct Lines {
  std::vector<Line> lines;
  // Per token: the line (0-based) of its first byte; a line break belongs to the line it ends. A
  // token of no bytes goes with the byte behind it; -1 where there is none.
  std::vector<int32_t> line_of_token;
};

// `pieces[t]`: the bytes of token t; the end-of-text token and what follows it left out.
// Worked example: {"as", "pirin", "\nfoo", "\n"} ->
//   lines {"aspirin", 2}, {"foo", 3}; line_of_token {0, 0, 0, 1}
Lines SplitLines(const std::vector<std::string_view>& pieces);

struct Segmentation {
  enum class Kind { kLines, kToken, kList };
  Kind kind = Kind::kLines;
  int32_t lines_per_step = 1;  // kLines: `drug` is 1, `chunk:k` is k
};

// "drug", "token", "chunk:k" with k >= 1, "list"; UsageError on anything else.
Segmentation ParseSegmentation(const std::string& text);

// Steps are 1-based; phi moves by a line at the step that the line is assigned to.
struct Steps {
  int32_t num_steps = 0;
  std::vector<int32_t> step_of_line;
  std::vector<int16_t> step_of_token;  // -1: no step
};

// lines: line l is part of step l / lines_per_step + 1, with its tokens.
// token: token t is step t + 1; a line moves phi at the token that holds its last byte.
// list:  one step with every line; none where there is no line.
// Throws DataError beyond 32767 steps.
Steps AssignSteps(const Lines& lines, const Segmentation& segmentation);

}  // namespace flame

#endif  // FLAME_REWARD_SEGMENTATION_H_
