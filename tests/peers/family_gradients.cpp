// family_gradients MODEL ADAPTER FAMILY.json OUT.safetensors
//
// Computes the gradients of the LoRA weights for the mean negative log-likelihood of a family's
// branch tokens, through the packed forward and backward, for comparison with peft. FAMILY.json is
// {"trunk": [ids], "branches": [[ids], ...]}. Prints the loss; writes each gradient under its
// parameter's name.
#include <ATen/core/Tensor.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/safetensors.h"
#include "model/files/policy_files.h"
#include "model/policy.h"

namespace flame {
namespace {

Family ReadFamily(const char* path) {
  const auto json = nlohmann::json::parse(ReadWholeFile(path));
  Family family;
  family.trunk = json.at("trunk").get<std::vector<int32_t>>();
  for (const auto& branch : json.at("branches")) {
    family.branches.push_back({branch.get<std::vector<int32_t>>(), /*loss_from=*/0});
  }
  return family;
}

void WriteGradients(const std::map<std::string, at::Tensor>& trainable, const char* path) {
  std::map<std::string, at::Tensor> kept;
  std::map<std::string, TensorView> views;
  for (const auto& [name, parameter] : trainable) {
    const at::Tensor gradient = kept[name] = parameter.grad().contiguous();
    views[name] = {"F32", gradient.sizes().vec(), gradient.const_data_ptr(), gradient.nbytes()};
  }
  WriteSafetensors(path, views);
}

void Run(char** argv) {
  Policy policy = LoadPolicy(argv[1], at::kFloat);
  LoadPeftAdapters(argv[2], &policy);
  const auto trainable = policy.SelectTrainable("adapters");
  const FamilyBatch batch = PackFamilies({ReadFamily(argv[3])});
  const at::Tensor hidden = policy.Hidden(batch, ForwardOptions());
  const at::Tensor loss = -policy.LogProbs(hidden, batch.sources, batch.targets).mean();
  loss.backward();
  std::printf("%.12g\n", loss.item<double>());
  WriteGradients(trainable, argv[4]);
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "family_gradients MODEL ADAPTER FAMILY.json OUT.safetensors\n";
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
