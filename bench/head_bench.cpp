// Measures the head's memory at a large vocabulary, as one JSON object: head_bench float32 |
// bfloat16. 16,384 hidden states of 4,096, vocabulary 128,256; forward with entropy, and backward
// with a frozen weight. `growth_mb` is how far the peak of resident memory exceeds the inputs. It
// does not depend on how many tokens are asked for, because they come in chunks, so asking for a
// part of them keeps the run short.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "model/policy.h"

namespace flame {
namespace {

// Returns a field of /proc/self/status, in MB of 10^6 bytes.
double StatusMegabytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == field + ":") {
      double kibibytes = 0;
      status >> kibibytes;
      return kibibytes * 1024 / 1e6;
    }
  }
  return 0;
}

void Report(at::ScalarType dtype) {
  constexpr int64_t kTokens = 16384, kAsked = 512, kWidth = 4096, kVocabSize = 128256;
  PolicyConfig config;
  config.d_model = kWidth, config.head_dim = 64;
  config.num_heads = config.num_kv_heads = 1, config.d_ff = 64;
  config.vocab_size = 8;  // replaced below by the true head, which is drawn faster than parameters
  Policy policy = Policy::Random(config, at::kFloat, 1);
  policy.parameters().at("model.embed_tokens.weight") =
      at::empty({kVocabSize, kWidth}, dtype).normal_(0, 1.0 / 64);
  at::Tensor hidden = at::empty({kTokens, kWidth}, dtype).normal_();
  hidden.set_requires_grad(true);
  const at::Tensor sources = at::arange(kAsked) * (kTokens / kAsked), targets = at::arange(kAsked);
  const double before = StatusMegabytes("VmRSS");
  at::Tensor entropy;
  policy.LogProbs(hidden, sources, targets, 1.0, &entropy).sum().backward();
  std::cout << nlohmann::json{{"what", "head, 16384 tokens of 4096, vocabulary 128256"},
                              {"asked_tokens", kAsked},
                              {"dtype", c10::toString(dtype)},
                              {"inputs_mb", before},
                              {"growth_mb", StatusMegabytes("VmHWM") - before}}
            << std::endl;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  const std::string dtype = argc == 2 ? argv[1] : "";
  if (dtype != "float32" && dtype != "bfloat16") {
    std::cerr << "usage: head_bench float32 | bfloat16\n";
    return 2;
  }
  flame::Report(dtype == "float32" ? at::kFloat : at::kBFloat16);
  return 0;
}
