// The known architectures written the slow, plain way: one sequence at a time, a dense causal mask,
// every derivative from autograd. Shares no code with model/ but the parameters' names.
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
  // Hidden states after the last norm of one sequence, [n, d_model].
  at::Tensor Hidden(const std::vector<int32_t>& tokens) const;
  // Log-probabilities of all branch tokens with index >= loss_from, in packed order.
  at::Tensor LogProbs(const std::vector<Family>& families, double temperature = 1.0) const;

 private:
  at::Tensor Parameter(const std::string& name) const { return policy_.parameters().at(name); }
  at::Tensor Embed(int32_t token) const;
  at::Tensor Map(const std::string& name, const at::Tensor& x) const;
  at::Tensor Attention(const std::string& prefix, const at::Tensor& x) const;
  const Policy& policy_;
  double lora_scale_;
};

// All branches of the families as whole sequences, trunk first.
std::vector<std::vector<int32_t>> Sequences(const std::vector<Family>& families);

// Small families that cover: one branch, many, length 1, longer than the short-segment kernel,
// trunks of different length; loss from the first token, the middle and nowhere.
std::vector<Family> VariedFamilies(int64_t vocab_size, uint64_t seed);
Family MakeFamily(int64_t trunk, const std::vector<int64_t>& branches, int64_t vocab_size,
                  uint64_t seed, int32_t loss_from = 0);

// 3 layers, 4 heads over 2, vocabulary 37; the norms' weights differ from 1.
PolicyConfig TestConfig(bool tie);
// The same with what this architecture adds, untied, with llama3 scaling of the rotation.
PolicyConfig TestConfigOf(const std::string& architecture);
Policy TestPolicy(at::ScalarType dtype, bool tie = true, uint64_t seed = 1);
Policy TestPolicy(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed = 1);
// Adapters with a non-zero B.
void AddTestAdapters(Policy* policy, double dropout = 0);

// max |a - b| / (1 + max |b|).
double Difference(const at::Tensor& a, const at::Tensor& b);

}  // namespace flame

#endif  // FLAME_TESTS_MODEL_ORACLE_H_
