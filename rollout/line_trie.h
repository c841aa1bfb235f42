// The tokens that a completion may have if every line must be one of a fixed set; constrained
// decoding draws from them only.
#ifndef FLAME_ROLLOUT_LINE_TRIE_H_
#define FLAME_ROLLOUT_LINE_TRIE_H_

#include <cstdint>
#include <map>
#include <vector>

#include "data/prompts/prompt.h"

namespace flame {

// Accepts completions of any number of lines, each one of the set, then end-of-text. Worked
// example: lines {7, 8, 1} and {7, 9, 1}, end 2: after {7, 9, 1, 7} the tokens 8 and 9 are allowed,
// after {7, 9, 1} the tokens 2 and 7.
class LineTrie {
 public:
  // A completion's position within a line. kStart: at the beginning of a line.
  using Node = int32_t;
  static constexpr Node kStart = 0;

  // `lines` are each line's tokens with its line break. Throws DataError if there are no lines, if
  // a line is empty or has `end_id`, or if one line's tokens begin another's, because it would be
  // ambiguous whether the line is over. Equal lines count as one.
  LineTrie(const std::vector<std::vector<int32_t>>& lines, int32_t end_id);

  // Returns the allowed tokens, ascending, at least one; end-of-text is allowed at kStart only.
  const std::vector<int32_t>& Allowed(Node node) const { return nodes_[node].allowed; }
  // Returns the position after `token`, which must be allowed and not end-of-text.
  Node Next(Node node, int32_t token) const { return nodes_[node].next.at(token); }
  // Returns the tokens allowed at each place of a completion; each depends only on the tokens
  // before it. Throws DataError if the lines do not allow the completion.
  std::vector<const std::vector<int32_t>*> AllowedAlong(const std::vector<int32_t>& tokens) const;

 private:
  struct State {
    std::map<int32_t, Node> next;
    std::vector<int32_t> allowed;
  };
  void Add(const std::vector<int32_t>& line);
  int32_t end_id_;
  std::vector<State> nodes_;
};

// Returns the lines with which PromptBuilder::ListAnswer names each of the drugs 0..num_drugs-1. A
// completion may name a drug twice, and drugs in or outside the question's list.
LineTrie DrugLines(const PromptBuilder& prompts, int64_t num_drugs);

}  // namespace flame

#endif  // FLAME_ROLLOUT_LINE_TRIE_H_
