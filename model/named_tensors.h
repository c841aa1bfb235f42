// Tensors by their parameters' names.
#ifndef FLAME_MODEL_NAMED_TENSORS_H_
#define FLAME_MODEL_NAMED_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace flame {

using NamedTensors = std::map<std::string, at::Tensor>;

}  // namespace flame

#endif  // FLAME_MODEL_NAMED_TENSORS_H_
