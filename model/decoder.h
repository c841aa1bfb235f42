// Decoding with a KV cache in which a trunk is stored once and shared by its group.
#ifndef FLAME_MODEL_DECODER_H_
#define FLAME_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/policy.h"

namespace flame {

// Decodes B trunks with G members each, rows b * G + g. No gradients.
// Worked example:
//   Decoder d(policy, /*adapters=*/true);
//   at::Tensor logits = d.Prefill(trunks, G, max_tokens);  // [B * G, V], one trunk's rows equal
//   while (...) logits = d.Step(tokens);                   // tokens int64 [B * G]
class Decoder {
 public:
  Decoder(const Policy& policy, bool adapters);
  // The trunks go through the packed family forward (no branches). Throws UsageError where a trunk
  // plus max_tokens exceeds max_positions.
  at::Tensor Prefill(const std::vector<std::vector<int32_t>>& trunks, int64_t group_size,
                     int64_t max_tokens);
  // Feeds one token a row and gives the logits of the next, [B * G, vocab_size] float32.
  at::Tensor Step(const at::Tensor& tokens);
  // Keeps only these rows (ascending), so that finished members cost nothing more.
  void Keep(const std::vector<int64_t>& rows);

 private:
  const Policy& policy_;
  bool adapters_;
  std::vector<at::Tensor> trunk_k_, trunk_v_;    // per layer
  std::vector<at::Tensor> branch_k_, branch_v_;  // per layer
  at::Tensor trunk_mask_, row_trunk_, positions_;
  int64_t length_ = 0;
};

}  // namespace flame

#endif  // FLAME_MODEL_DECODER_H_
