// Families: one trunk (a shared prompt) and branches that each continue it without seeing the
// others. Every forward and backward of the program runs over a packed batch of families.
#ifndef FLAME_MODEL_FAMILY_H_
#define FLAME_MODEL_FAMILY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace flame {

struct Branch {
  std::vector<int32_t> tokens;  // at least one
  // Tokens [loss_from, size) are those whose log-probability is asked for; loss_from == size: none.
  int32_t loss_from = 0;
};

// Worked example, the classifier on one visit: the trunk is the patient block, branch m is
// "candidate m" + answer, and loss_from is the length of the candidate part.
struct Family {
  std::vector<int32_t> trunk;  // at least one token
  std::vector<Branch> branches;
  // For LoRA dropout: `number` is the family's index within the step. If this is only a part of a
  // family, `first_branch` counts that family's branches before this part. Dropout masks follow
  // these two numbers, whatever else is in the batch.
  int64_t number = 0, first_branch = 0;
  int64_t NumTokens() const;
};

// A segment of the packed token axis.
struct Span {
  int64_t begin = 0, size = 0;
};

struct FamilyLayout {
  Span trunk;
  std::vector<Span> branches;  // in packed order, directly after the trunk
};

// A packed batch of T tokens in the order trunk 0, its branches, trunk 1, its branches, ... If the
// last token of a branch is asked for, that token is not packed: it is only a target. The span of a
// one-token branch is then empty.
struct FamilyBatch {
  at::Tensor tokens;     // int64 [T]
  at::Tensor positions;  // int64 [T]: from 0 in a trunk; a branch continues after its trunk's last
  // int64 [T]: the family's number * 2^32 + (0 in a trunk, b + 1 in branch b) * 2^20 + the token's
  // index in that trunk or branch.
  at::Tensor mask_rows;
  std::vector<FamilyLayout> families;
  // The Q rows whose final hidden state is read, ascending: of each branch, the rows that predict
  // the branch's asked-for tokens; of a trunk, its last row if it predicts a branch's first token.
  // `asked` is their layout on an axis of their own.
  at::Tensor asked_rows;  // int64 [Q]
  std::vector<FamilyLayout> asked;
  // The N asked-for tokens in packed order. The hidden state of asked row `sources[n]` predicts
  // `targets[n]`. `sources[n]` is the row before the target; for the first token of a branch, it is
  // the last row of the trunk.
  at::Tensor sources;                   // int64 [N]
  at::Tensor targets;                   // int64 [N]
  std::vector<int64_t> target_offsets;  // [all branches + 1]: each branch's first n; last: N
};

FamilyBatch PackFamilies(const std::vector<Family>& families);

}  // namespace flame

#endif  // FLAME_MODEL_FAMILY_H_
