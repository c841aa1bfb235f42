// A task that SFT learns within seconds.
#ifndef FLAME_TESTS_TRAINER_SFT_COPY_TASK_H_
#define FLAME_TESTS_TRAINER_SFT_COPY_TASK_H_

#include <filesystem>

#include "base/random.h"
#include "tests/trainer/toy.h"
#include "trainer/sft/sft.h"

namespace flame {

// Returns an example of the copy task: every branch begins with the trunk's last token and ends
// with token 0. Branches alternate in whether the first token is asked for.
inline Family CopyExample(int64_t example) {
  RandomStream random(1, static_cast<uint32_t>(example));
  const auto draw = [&random] { return static_cast<int32_t>(2 + random.Below(14)); };
  Family family;
  family.trunk = {1, draw(), draw()};
  for (int64_t b = 0; b <= example % 3; ++b) {
    family.branches.push_back({{family.trunk.back(), 0}, static_cast<int32_t>(b % 2)});
  }
  return family;
}

inline SftExample Unweighted(int64_t example, int64_t) { return {CopyExample(example), {}}; }

inline SftJob CopyJob(Policy* policy, const std::filesystem::path& folder) {
  SftJob job;
  job.label = "copy";
  job.policy = policy;
  job.trainable = "full";
  job.num_examples = 21;
  job.example = Unweighted;
  job.options.batch = 8;  // the third step of an epoch has 5 examples
  job.options.epochs = 3;
  job.options.optimizer.learning_rate = 1e-3;
  job.options.optimizer.warmup = 2;
  job.options.checkpoint_every = 2;
  job.seed = 11;
  job.folder = folder;
  job.config_sha256 = "digest";
  return job;
}

}  // namespace flame

#endif  // FLAME_TESTS_TRAINER_SFT_COPY_TASK_H_
