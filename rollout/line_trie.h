// What a completion may be where every line must be one of a fixed set, for decoding that cannot
// leave it.
#ifndef FLAME_ROLLOUT_LINE_TRIE_H_
#define FLAME_ROLLOUT_LINE_TRIE_H_

#include <cstdint>
#include <map>
#include <vector>

#include "data/prompts/prompt.h"

namespace flame {

// Completions are any number of lines, each one of the set, then end-of-text. Worked example: lines
// {7, 8, 1} and {7, 9, 1} and end 2: behind {7, 9, 1, 7} the tokens 8 and 9 are allowed, behind
// {7, 9, 1} the tokens 2 and 7.
class LineTrie {
 public:
  // Where in a line a completion is. kStart: at the beginning of one.
  using Node = int32_t;
  static constexpr Node kStart = 0;

  // `lines`: each line's tokens, its line break included. Throws DataError on none, on a line
  // without tokens or with `end_id`, and where one line's tokens are the beginning of another's: it
  // would not be known whether the line is over. Equal lines are one.
  LineTrie(const std::vector<std::vector<int32_t>>& lines, int32_t end_id);

  // Ascending, at least one; end-of-text at kStart only.
  const std::vector<int32_t>& Allowed(Node node) const { return nodes_[node].allowed; }
  // Behind `token`, which must be allowed and not end-of-text.
  Node Next(Node node, int32_t token) const { return nodes_[node].next.at(token); }
  // The tokens allowed at each place of a completion: a pure function of what is before it. Throws
  // DataError on a completion that the lines do not give.
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

// The lines of PromptBuilder::ListAnswer that name one of the drugs 0..num_drugs-1, a line each. A
// completion may name a drug twice, and drugs that are in the question's list or not.
LineTrie DrugLines(const PromptBuilder& prompts, int64_t num_drugs);

}  // namespace flame

#endif  // FLAME_ROLLOUT_LINE_TRIE_H_
