// A learner's share of one GRPO step: its groups as micro-batches, and passes over them.
#ifndef FLAME_TRAINER_GRPO_GRPO_UPDATE_H_
#define FLAME_TRAINER_GRPO_GRPO_UPDATE_H_

#include <cstdint>
#include <vector>

#include "model/policy.h"
#include "trainer/grpo/allowed_tokens.h"
#include "trainer/grpo/grpo_batch.h"
#include "trainer/grpo/grpo_job.h"
#include "trainer/micro_batch.h"
#include "trainer/training_run.h"

namespace flame {

// Sums over this rank's tokens of one pass.
struct PassSums {
  double loss = 0;  // weighted by the step's totals: sums over ranks to the step's loss
  double kl = 0, entropy = 0;
  double clipped = 0;                    // tokens
  double mismatch_max = 0;               // max |sampled - present log-probability|
  double importance = 0, truncated = 0;  // of the correction: factors, and tokens at the cap
};

class GrpoUpdate {
 public:
  // Takes groups g with g % run.size() == run.rank(). Evaluates the reference policy (adapters off)
  // where options.kl > 0. Keeps references.
  GrpoUpdate(const GrpoJob& job, const GrpoBatch& batch, TrainingRun* run);
  // One forward and backward over all micro-batches; gradients are added to the parameters'. The
  // first pass, before any update, corrects for the policy that sampled where that is older.
  PassSums Backward();

 private:
  struct Part {
    FamilyBatch batch;
    SurrogateInput tokens;  // without logprobs; float64
    AllowedTokens allowed;  // where job.lines is given
  };
  Part MakePart(const MicroBatch& micro_batch, const GrpoBatch& batch,
                const std::vector<int64_t>& group_of_family) const;
  bool Constrained(const Part& part) const;
  at::Tensor LogProbs(const Part& part, const ForwardOptions& options, at::Tensor* entropy) const;

  void Correct(const at::Tensor& logprobs, SurrogateInput* tokens, PassSums* sums) const;

  const GrpoJob& job_;
  TrainingRun* run_;
  bool off_policy_, first_ = true;
  std::vector<Part> parts_;
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_UPDATE_H_
