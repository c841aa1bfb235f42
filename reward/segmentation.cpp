#include "reward/segmentation.h"

#include <charconv>
#include <limits>

#include "base/error.h"

namespace flame {

Lines SplitLines(const std::vector<std::string_view>& pieces) {
  Lines result;
  std::string open;  // text of the line being written
  bool has_bytes = false;
  int32_t last_written = -1;
  for (int32_t token = 0; token < static_cast<int32_t>(pieces.size()); ++token) {
    result.line_of_token.push_back(static_cast<int32_t>(result.lines.size()));
    for (char c : pieces[token]) {
      last_written = token;
      has_bytes = c != '\n';
      if (has_bytes) {
        open += c;
      } else {
        result.lines.push_back({std::move(open), token});
        open.clear();
      }
    }
  }
  if (has_bytes) result.lines.push_back({std::move(open), last_written});
  // The loop counted tokens without bytes after the last byte to a line that never came or was
  // over.
  for (size_t token = last_written + 1; token < pieces.size(); ++token) {
    result.line_of_token[token] = -1;
  }
  return result;
}

Segmentation ParseSegmentation(const std::string& text) {
  if (text == "drug") return {Segmentation::Kind::kLines, 1};
  if (text == "token") return {Segmentation::Kind::kToken, 1};
  if (text == "list") return {Segmentation::Kind::kList, 1};
  const std::string prefix = "chunk:";
  if (text.starts_with(prefix)) {
    int32_t k = 0;
    const char* end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data() + prefix.size(), end, k);
    if (error == std::errc() && stop == end && k >= 1) return {Segmentation::Kind::kLines, k};
  }
  throw UsageError("credit.segmentation is '", text,
                   "'; expected drug, token, chunk:K with K >= 1, or list");
}

Steps AssignSteps(const Lines& lines, const Segmentation& segmentation) {
  const int32_t num_lines = static_cast<int32_t>(lines.lines.size());
  const int32_t num_tokens = static_cast<int32_t>(lines.line_of_token.size());
  const bool by_token = segmentation.kind == Segmentation::Kind::kToken;
  // A `list` step is a chunk that is never full.
  const int32_t chunk = segmentation.kind == Segmentation::Kind::kList
                            ? std::numeric_limits<int32_t>::max()
                            : segmentation.lines_per_step;
  Steps steps;
  for (int32_t line = 0; line < num_lines; ++line) {
    steps.step_of_line.push_back(by_token ? lines.lines[line].last_token + 1 : line / chunk + 1);
  }
  if (by_token) {
    steps.num_steps = num_tokens;
  } else if (num_lines > 0) {
    steps.num_steps = steps.step_of_line.back();
  }
  if (steps.num_steps > std::numeric_limits<int16_t>::max()) {
    throw DataError("a completion has ", steps.num_steps, " steps; at most 32767 are supported");
  }
  for (int32_t token = 0; token < num_tokens; ++token) {
    const int32_t line = lines.line_of_token[token];
    const int32_t step = by_token ? token + 1 : line < 0 ? -1 : line / chunk + 1;
    steps.step_of_token.push_back(static_cast<int16_t>(step));
  }
  return steps;
}

}  // namespace flame
