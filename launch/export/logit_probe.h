// Logits of random tokens, for comparing a policy with what was exported of it.
#ifndef FLAME_LAUNCH_EXPORT_LOGIT_PROBE_H_
#define FLAME_LAUNCH_EXPORT_LOGIT_PROBE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/family.h"
#include "model/policy.h"

namespace flame {

struct LogitProbe {
  Family family;                    // random tokens, and the slots asked for in its trunk
  std::vector<int64_t> vocabulary;  // the tokens whose logits are read
};
// Takes tokens below `vocab_size`.
LogitProbe ProbeOf(int64_t vocab_size, const std::vector<int32_t>& slots);

// Returns the logits at every place of the family's branch, [places, vocabulary].
at::Tensor ProbedLogits(const Policy& policy, const LogitProbe& probe);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_LOGIT_PROBE_H_
