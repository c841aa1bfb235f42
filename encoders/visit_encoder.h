// A model that predicts a visit's drugs from its codes and the codes of the visit before.
#ifndef FLAME_ENCODERS_VISIT_ENCODER_H_
#define FLAME_ENCODERS_VISIT_ENCODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "encoders/whole_model.h"

namespace flame {

// Number of codes that an encoder knows.
struct CodeCounts {
  int64_t diagnoses = 0, procedures = 0, drugs = 0;
};
CodeCounts CountsOf(const Corpus& corpus);

class VisitEncoder : public WholeModel {
 public:
  using WholeModel::WholeModel;
  // Returns the training loss of each visit, [visits]. `dropout_seed` 0: without dropout.
  virtual at::Tensor Loss(const Corpus& corpus, const std::vector<int32_t>& visits,
                          uint64_t dropout_seed) const = 0;
  // Returns the logit of each drug, [visits, drugs], without dropout and gradient.
  virtual at::Tensor Logits(const Corpus& corpus, const std::vector<int32_t>& visits) const = 0;
};

}  // namespace flame

#endif  // FLAME_ENCODERS_VISIT_ENCODER_H_
