#include "encoders/losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/multilabel_margin_loss.h>
#include <ATen/ops/zeros.h>

namespace flame {

DrugTargets TargetsOf(const Corpus& corpus, const std::vector<int32_t>& visits) {
  const int64_t rows = static_cast<int64_t>(visits.size()), drugs = corpus.drugs.size();
  DrugTargets targets = {at::zeros({rows, drugs}, at::kFloat),
                         at::full({rows, drugs}, -1, at::kLong)};
  float* given = targets.given.mutable_data_ptr<float>();
  int64_t* lists = targets.lists.mutable_data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    if (visits[row] < 0) continue;
    int64_t place = row * drugs;
    for (const int32_t drug : corpus.visits[visits[row]].drugs) {
      given[row * drugs + drug] = 1;
      lists[place++] = drug;
    }
  }
  return targets;
}

at::Tensor DdiMatrix(const DdiGraph& ddi) {
  const int32_t drugs = ddi.num_drugs();
  at::Tensor matrix = at::zeros({drugs, drugs}, at::kFloat);
  float* values = matrix.mutable_data_ptr<float>();
  for (int32_t a = 0; a < drugs; ++a) {
    for (int32_t b = 0; b < drugs; ++b) {
      if (ddi.Harmful(a, b)) values[int64_t{a} * drugs + b] = 1;
    }
  }
  return matrix;
}

at::Tensor CrossEntropy(const at::Tensor& logits, const at::Tensor& given) {
  return at::binary_cross_entropy_with_logits(logits, given, {}, {}, at::Reduction::None).mean(1);
}

at::Tensor MarginLoss(const at::Tensor& probabilities, const DrugTargets& targets) {
  return at::multilabel_margin_loss(probabilities, targets.lists, at::Reduction::None);
}

at::Tensor DdiSum(const at::Tensor& probabilities, const at::Tensor& ddi) {
  return (at::matmul(probabilities, ddi) * probabilities).sum(1);
}

}  // namespace flame
