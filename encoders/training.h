// The training of an encoder, data-parallel over learners.
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
  // Examples: visits, molecules. Without `validation` nothing is chosen by it.
  std::vector<int32_t> train, validation;
  std::function<int64_t(int32_t example)> length;  // its codes or atoms, to cut batches by
  // Returns the losses of examples, [examples]. `seed` 0: without dropout.
  std::function<at::Tensor(const std::vector<int32_t>& examples, uint64_t seed)> loss;
  // True if an example's loss depends on the others of its batch. Then no batch is cut, and every
  // rank computes all of it.
  bool whole_batches = false;
  NamedTensors state;  // tensors beside the parameters, equal on all ranks, that are saved too
};

// Trains as RunSupervised does, on the mean loss of options.batch examples an update; the
// validation loss is evaluated after every epoch. The sums are taken in the order of ranks.
// metrics.jsonl has per step also grad_norm, learning_rate, examples and seconds. Throws DataError
// if there is none to train on.
SupervisedReport TrainEncoder(const EncoderJob& job, const std::function<void()>& end);

}  // namespace flame

#endif  // FLAME_ENCODERS_TRAINING_H_
