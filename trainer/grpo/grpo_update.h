// A learner's share of one GRPO step: its groups, cut into micro-batches, and passes over them.
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

// Sums of one pass over this rank's tokens.
struct PassSums {
  double loss = 0;  // weighted by the step's totals; the sum over ranks is the step's loss
  double kl = 0, entropy = 0;
  double clipped = 0;                    // tokens
  double mismatch_max = 0;               // max |sampled - current log-probability|
  double importance = 0, truncated = 0;  // factors of ImportanceCorrection; tokens it truncated
};

class GrpoUpdate {
 public:
  // Takes the groups g with g % run.size() == run.rank(). Evaluates the reference policy (adapters
  // off) if options.kl > 0. Keeps references to its arguments.
  GrpoUpdate(const GrpoJob& job, const GrpoBatch& batch, TrainingRun* run);
  // Runs a forward and backward over all micro-batches and adds to the parameters' gradients. If an
  // older policy sampled, the first pass, before any update, applies TruncatedImportance.
  PassSums Backward();

 private:
  struct Part {
    FamilyBatch batch;
    SurrogateInput tokens;  // float64, without logprobs
    AllowedTokens allowed;  // filled if job.lines is given
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
