// The training of an encoder on a corpus's visits, data-parallel over learners.
#ifndef FLAME_ENCODERS_TRAINING_H_
#define FLAME_ENCODERS_TRAINING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "encoders/options.h"
#include "encoders/whole_model.h"
#include "trainer/supervised/supervised.h"
#include "trainer/training_job.h"

namespace flame {

struct EncoderJob : TrainingJob {
  std::string label;  // for progress: "micron"
  EncoderTrainingOptions options;
  WholeModel* model = nullptr;
  std::vector<int32_t> train, validation;  // visits; without `validation` nothing is chosen by it
  std::function<int64_t(int32_t visit)> length;  // codes of a visit, to cut batches by
  // Returns the losses of visits, [visits]. `seed` 0: without dropout.
  std::function<at::Tensor(const std::vector<int32_t>& visits, uint64_t seed)> loss;
};

// Trains as RunSupervised does, on the mean loss of options.batch visits an update; the validation
// loss is evaluated after every epoch. The sums are taken in the order of ranks. metrics.jsonl has
// per step also grad_norm, learning_rate, visits and seconds. Throws DataError if there is no visit
// to train on.
SupervisedReport TrainEncoder(const EncoderJob& job, const std::function<void()>& end);

}  // namespace flame

#endif  // FLAME_ENCODERS_TRAINING_H_
