// Losses of predicted drug sets, one value for each visit.
#ifndef FLAME_ENCODERS_LOSSES_H_
#define FLAME_ENCODERS_LOSSES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/corpus.h"

namespace flame {

// The drug sets of some visits. Row b is visit b.
struct DrugTargets {
  at::Tensor given;  // float [B, drugs]: 1 for a drug of the visit, else 0
  at::Tensor lists;  // int64 [B, drugs]: the visit's drugs, then -1
};
// An empty set for a visit of -1.
DrugTargets TargetsOf(const Corpus& corpus, const std::vector<int32_t>& visits);

// The harmful pairs as a symmetric matrix of 0 and 1, float [drugs, drugs].
at::Tensor DdiMatrix(const DdiGraph& ddi);

// Mean over drugs of the cross-entropy of each drug's yes or no, [B]; logits [B, drugs].
at::Tensor CrossEntropy(const at::Tensor& logits, const at::Tensor& given);
// Multi-label margin loss of the probabilities, [B]: the sum over drugs y of the set and others j
// of max(0, 1 - (p_y - p_j)), divided by the number of drugs.
at::Tensor MarginLoss(const at::Tensor& probabilities, const DrugTargets& targets);
// The sum over harmful pairs (i, j), in both orders, of p_i p_j, [B].
at::Tensor DdiSum(const at::Tensor& probabilities, const at::Tensor& ddi);

}  // namespace flame

#endif  // FLAME_ENCODERS_LOSSES_H_
