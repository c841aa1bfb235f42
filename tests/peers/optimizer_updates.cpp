// optimizer_updates CASE.json IN.safetensors OUT.safetensors
//
// Runs the optimizer on given gradients, for comparison with torch. CASE.json is {"updates": T,
// "overrides": ["sft.warmup=4", ...]}; IN holds "parameter.NAME" and, for t = 1..T,
// "gradient.t.NAME", all float32. Prints one line {"norm", "rate"} per update: the gradient's norm
// before clipping, and the learning rate. OUT holds "t.NAME", the parameters after update t.
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/safetensors.h"
#include "trainer/optimizer/adamw.h"
#include "trainer/optimizer/clip.h"
#include "trainer/optimizer/schedule.h"

namespace flame {
namespace {

struct Case {
  OptimizerOptions options;
  int64_t updates = 0;
};

Case ReadCase(const char* path) {
  const auto json = nlohmann::json::parse(ReadWholeFile(path));
  Case read;
  read.updates = json.at("updates");
  ConfigSchema schema;
  read.options.Bind("sft", &schema);
  schema.Load("", json.at("overrides").get<std::vector<std::string>>());
  return read;
}

at::Tensor CopyOf(const SafetensorsFile& file, const std::string& name) {
  const TensorView& view = file.tensors().at(name);
  return at::from_blob(const_cast<void*>(view.data), view.shape, at::kFloat).clone();
}

NamedTensors Parameters(const SafetensorsFile& file) {
  const std::string prefix = "parameter.";
  NamedTensors parameters;
  for (const auto& [name, view] : file.tensors()) {
    if (!name.starts_with(prefix)) continue;
    parameters[name.substr(prefix.size())] = CopyOf(file, name).requires_grad_(true);
  }
  return parameters;
}

void Write(const NamedTensors& tensors, const char* path) {
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    views[name] = {"F32", tensor.sizes().vec(), tensor.const_data_ptr(), tensor.nbytes()};
  }
  WriteSafetensors(path, views);
}

void Run(char** argv) {
  const Case given = ReadCase(argv[1]);
  const SafetensorsFile file(argv[2]);
  const NamedTensors parameters = Parameters(file);
  AdamW optimizer(parameters, given.options);
  const c10::NoGradGuard no_grad;
  NamedTensors after;
  for (int64_t t = 1; t <= given.updates; ++t) {
    NamedTensors gradients;
    for (const auto& [name, parameter] : parameters) {
      gradients[name] = CopyOf(file, StrCat("gradient.", t, ".", name));
    }
    const double norm = std::sqrt(SumOfSquares(gradients).item<double>());
    for (auto& [name, gradient] : gradients) {
      gradient.mul_(ClipScale(norm, given.options.grad_clip));
    }
    const double rate =
        given.options.learning_rate * LearningRateFactor(given.options, t, given.updates);
    optimizer.Update(gradients, rate);
    std::cout << nlohmann::json{{"norm", norm}, {"rate", rate}} << "\n";
    for (const auto& [name, parameter] : parameters) {
      after[StrCat(t, ".", name)] = parameter.detach().clone();
    }
  }
  Write(after, argv[3]);
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "optimizer_updates CASE.json IN.safetensors OUT.safetensors\n";
    return 2;
  }
  try {
    flame::Run(argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
