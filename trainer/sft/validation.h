// The validation loss of SFT.
#ifndef FLAME_TRAINER_SFT_VALIDATION_H_
#define FLAME_TRAINER_SFT_VALIDATION_H_

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "model/policy.h"
#include "trainer/micro_batch.h"

namespace flame {

// Evaluates the mean negative log-likelihood of the families' asked-for tokens; training weights of
// examples do not count. Micro-batches are cut over all families and dealt to learners, and their
// sums are added in order, so that equal policy weights give equal bits on any number of learners.
class ValidationSet {
 public:
  // Throws DataError if no family asks for a token.
  ValidationSet(const std::vector<Family>& families, int64_t token_budget);
  double Loss(const Policy& policy, Communicator* learners) const;

 private:
  std::vector<MicroBatch> micro_batches_;
  int64_t tokens_ = 0;  // asked-for tokens
};

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_VALIDATION_H_
