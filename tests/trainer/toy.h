// A policy small enough to train in a test.
#ifndef FLAME_TESTS_TRAINER_TOY_H_
#define FLAME_TESTS_TRAINER_TOY_H_

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/policy.h"
#include "tests/base/fresh_folder.h"

namespace flame {

inline Policy ToyPolicy(at::ScalarType dtype) {
  PolicyConfig config;
  config.vocab_size = 16;
  config.d_model = 32;
  config.num_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 16;
  config.d_ff = 48;
  config.max_positions = 64;
  Policy policy = Policy::Random(config, dtype, /*seed=*/5);
  // The embeddings are also the output head. At the usual scale of 0.02 no logit of such a narrow
  // model could leave (-1, 1), whatever an adapter learns.
  policy.parameters().at("model.embed_tokens.weight").mul_(20);
  return policy;
}

inline Policy ToyPolicyWithAdapters(at::ScalarType dtype, double dropout) {
  Policy policy = ToyPolicy(dtype);
  LoraOptions lora;
  lora.rank = 4;
  lora.dropout = dropout;
  lora.targets = {"q_proj", "v_proj", "down_proj"};
  policy.AddAdapters(lora, /*seed=*/6);
  return policy;
}

// Returns the largest difference over all parameters; 0 means equal bit for bit.
inline double MaxDifference(const Policy& a, const Policy& b) {
  double worst = 0;
  for (const auto& [name, tensor] : a.parameters()) {
    const at::Tensor other = b.parameters().at(name).detach().cpu();
    const at::Tensor difference = (tensor.detach().cpu() - other).abs();
    worst = std::max(worst, difference.max().item<double>());
  }
  return worst;
}

inline std::vector<nlohmann::json> MetricsRows(const std::filesystem::path& folder) {
  std::ifstream file(folder / "metrics.jsonl");
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

}  // namespace flame

#endif  // FLAME_TESTS_TRAINER_TOY_H_
