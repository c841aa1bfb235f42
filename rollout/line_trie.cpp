#include "rollout/line_trie.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"

namespace flame {
namespace {

std::string ToText(const std::vector<int32_t>& tokens) {
  std::ostringstream text;
  for (const int32_t token : tokens) text << ' ' << token;
  return text.str();
}

}  // namespace

LineTrie::LineTrie(const std::vector<std::vector<int32_t>>& lines, int32_t end_id)
    : end_id_(end_id), nodes_(1) {
  if (lines.empty()) throw DataError("constrained decoding: no line; expected at least one");
  for (const auto& line : lines) Add(line);
  for (State& state : nodes_) {
    for (const auto& [token, node] : state.next) state.allowed.push_back(token);
  }
  std::vector<int32_t>& start = nodes_[kStart].allowed;
  start.insert(std::upper_bound(start.begin(), start.end(), end_id), end_id);
}

void LineTrie::Add(const std::vector<int32_t>& line) {
  if (line.empty() || std::find(line.begin(), line.end(), end_id_) != line.end()) {
    throw DataError("constrained decoding: a line of the tokens", ToText(line),
                    "; expected at least one, none of them end-of-text (", end_id_, ")");
  }
  Node node = kStart;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool last = i + 1 == line.size();
    const auto found = nodes_[node].next.find(line[i]);
    if (found == nodes_[node].next.end()) {
      const Node next = last ? kStart : static_cast<Node>(nodes_.size());
      nodes_[node].next.emplace(line[i], next);
      if (!last) nodes_.emplace_back();
      node = next;
    } else if ((found->second == kStart) != last) {
      throw DataError("constrained decoding: the line of the tokens", ToText(line),
                      " begins another line, or another line begins it; expected lines that end ",
                      "in a line break token of their own");
    } else {
      node = found->second;
    }
  }
}

std::vector<const std::vector<int32_t>*> LineTrie::AllowedAlong(
    const std::vector<int32_t>& tokens) const {
  std::vector<const std::vector<int32_t>*> along;
  Node node = kStart;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::vector<int32_t>& allowed = Allowed(node);
    along.push_back(&allowed);
    const bool end = node == kStart && tokens[i] == end_id_;
    const bool known = std::binary_search(allowed.begin(), allowed.end(), tokens[i]);
    if (!known || (end && i + 1 < tokens.size())) {
      throw DataError("constrained decoding: token ", i, " of a completion is ", tokens[i],
                      ", which no line has there");
    }
    if (!end) node = Next(node, tokens[i]);
  }
  return along;
}

LineTrie DrugLines(const PromptBuilder& prompts, int64_t num_drugs) {
  std::vector<std::vector<int32_t>> lines;
  for (int64_t drug = 0; drug < num_drugs; ++drug) {
    lines.push_back(prompts.ListAnswer({static_cast<int32_t>(drug)}));
    lines.back().pop_back();  // end-of-text
  }
  return LineTrie(lines, prompts.end_id());
}

}  // namespace flame
