// The contents of a checkpoint: the state of a training loop, and slices of named tensors.
#ifndef FLAME_TRAINER_CHECKPOINT_CHECKPOINT_INFO_H_
#define FLAME_TRAINER_CHECKPOINT_CHECKPOINT_INFO_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flame {

struct CheckpointInfo {
  int64_t step = 0;
  std::string config_sha256;
  std::string settings;                    // the config lines that config_sha256 covers, key=value
  int64_t ranks = 1;                       // learners that trained
  double value = 0;                        // the number that `keep_best` compares
  std::map<std::string, int64_t> numbers;  // state of the loop
};

// Elements [offset, offset + data.numel()) of the flattened tensor `name`, whose shape is `shape`.
// `data` is flat and contiguous; it is empty if this rank holds nothing of the tensor.
struct CheckpointSlice {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset = 0;
  at::Tensor data;
};

}  // namespace flame

#endif  // FLAME_TRAINER_CHECKPOINT_CHECKPOINT_INFO_H_
