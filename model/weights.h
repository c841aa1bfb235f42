// Tensors in and out of safetensors files.
#ifndef FLAME_MODEL_WEIGHTS_H_
#define FLAME_MODEL_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/shapes.h"

namespace flame {

// Reads exactly the tensors of `expected` from these files, converted from F64, F32, F16 or BF16 to
// `dtype`. Throws one DataError with a line for each missing, unexpected or misshapen tensor and
// each unknown dtype. Names in `ignored` may be there.
std::map<std::string, at::Tensor> ReadWeights(const std::vector<std::filesystem::path>& files,
                                              const ShapeMap& expected, at::ScalarType dtype,
                                              const std::vector<std::string>& ignored = {});

// Writes one file. Tensors are float32 or float64.
void WriteWeights(const std::filesystem::path& path,
                  const std::map<std::string, at::Tensor>& tensors);

}  // namespace flame

#endif  // FLAME_MODEL_WEIGHTS_H_
