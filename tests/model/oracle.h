// The known architectures in slow, plain code: one sequence at a time, a dense causal mask, every
// derivative from autograd. Shares nothing with model/ except the parameters' names.
#ifndef FLAME_TESTS_MODEL_ORACLE_H_
#define FLAME_TESTS_MODEL_ORACLE_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "model/policy.h"

namespace flame {

class Oracle {
 public:
  Oracle(const Policy& policy, double lora_scale) : policy_(policy), lora_scale_(lora_scale) {}
  // Returns one sequence's hidden states after the last norm, [n, d_model].
  at::Tensor Hidden(const std::vector<int32_t>& tokens) const;
  // Returns the log-probabilities of all branch tokens with index >= loss_from, in packed order.
  at::Tensor LogProbs(const std::vector<Family>& families, double temperature = 1.0) const;

 private:
  at::Tensor Parameter(const std::string& name) const { return policy_.parameters().at(name); }
  at::Tensor Embed(int32_t token) const;
  at::Tensor Map(const std::string& name, const at::Tensor& x) const;
  at::Tensor Attention(const std::string& prefix, const at::Tensor& x) const;
  const Policy& policy_;
  double lora_scale_;
};

// Returns all branches of the families as whole sequences, trunk first.
std::vector<std::vector<int32_t>> Sequences(const std::vector<Family>& families);

// Returns small families that cover: one branch and many, length 1, branches longer than the
// short-segment kernel takes, trunks of different lengths; loss from the first token, from the
// middle and from nowhere.
std::vector<Family> VariedFamilies(int64_t vocab_size, uint64_t seed);
Family MakeFamily(int64_t trunk, const std::vector<int64_t>& branches, int64_t vocab_size,
                  uint64_t seed, int32_t loss_from = 0);

// Returns 3 layers, 4 heads over 2 key heads, vocabulary 37.
PolicyConfig TestConfig(bool tie);
// Like TestConfig, plus what this architecture adds: untied, with llama3 scaling of the rotation.
PolicyConfig TestConfigOf(const std::string& architecture);
Policy TestPolicy(at::ScalarType dtype, bool tie = true, uint64_t seed = 1);
Policy TestPolicy(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed = 1);
// Adds adapters with a non-zero B.
void AddTestAdapters(Policy* policy, double dropout = 0);

// Returns max |a - b| / (1 + max |b|).
double Difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace flame

#endif  // FLAME_TESTS_MODEL_ORACLE_H_
