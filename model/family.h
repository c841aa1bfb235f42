// Families: one trunk (a shared prompt) and the branches that continue it without seeing each
// other. Every forward and backward of the program runs over a packed batch of them.
#ifndef FLAME_MODEL_FAMILY_H_
#define FLAME_MODEL_FAMILY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace flame {

struct Branch {
  std::vector<int32_t> tokens;  // at least one
  // Tokens [loss_from, size) are the ones whose log-probability is asked for; loss_from == size:
  // none.
  int32_t loss_from = 0;
};

// Worked example: the classifier on one visit: trunk = patient block, branch m = "candidate m" +
// answer, loss_from = length of the candidate part.
struct Family {
  std::vector<int32_t> trunk;  // at least one token
  std::vector<Branch> branches;
  // For LoRA dropout: which of a step's families it is, and where it is a part of one, how many of
  // that one's branches come before its own. Masks follow these, whatever else is in the batch.
  int64_t number = 0, first_branch = 0;
  int64_t NumTokens() const;
};

// A segment of the packed token axis.
struct Span {
  int64_t begin = 0, size = 0;
};

struct FamilyLayout {
  Span trunk;
  std::vector<Span> branches;  // in packed order right behind the trunk
};

// Packed order: trunk 0, its branches, trunk 1, its branches, ... T tokens in all. The last token
// of a branch is left out if its log-probability is asked for: nothing follows it, so only its id
// matters. A branch's span may thus be empty.
struct FamilyBatch {
  at::Tensor tokens;     // int64 [T]
  at::Tensor positions;  // int64 [T]: 0.. in a trunk; a branch goes on from its trunk's length
  // int64 [T]: the family's number * 2^32 + (0 in a trunk, b + 1 in branch b) * 2^20 + the token's
  // place there.
  at::Tensor mask_rows;
  std::vector<FamilyLayout> families;
  // The rows whose final hidden state anything reads, Q in all, ascending; `asked` is their layout
  // on an axis of their own: at most the last token of a trunk, and the last ones of a branch.
  at::Tensor asked_rows;  // int64 [Q]
  std::vector<FamilyLayout> asked;
  // The asked-for tokens in packed order, N in all: `targets[n]` is predicted by the hidden state
  // of asked row `sources[n]` (the position before it: for a branch's first token, the trunk's
  // last).
  at::Tensor sources;                   // int64 [N]
  at::Tensor targets;                   // int64 [N]
  std::vector<int64_t> target_offsets;  // per branch over all families, in order: its first n; + N
};

FamilyBatch PackFamilies(const std::vector<Family>& families);

}  // namespace flame

#endif  // FLAME_MODEL_FAMILY_H_
