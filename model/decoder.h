// Decoding with a KV cache in which a trunk is stored once and shared by its group.
#ifndef FLAME_MODEL_DECODER_H_
#define FLAME_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/attention.h"
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
  // Feeds one token a row and gives the logits of the next, [rows, vocab_size] float32. Throws
  // UsageError after max_tokens steps.
  at::Tensor Step(const at::Tensor& tokens);
  // Keeps only these rows (ascending), so that finished members cost nothing more.
  void Keep(const std::vector<int64_t>& rows);

 private:
  void Reset(const FamilyBatch& batch, int64_t group_size, int64_t max_tokens);
  void CheckLength(int64_t longest, int64_t max_tokens) const;
  void DropEmptyTrunks();
  at::Tensor Logits(const at::Tensor& x) const;
  at::Tensor TrunkOfRow() const;  // int64 [rows]
  at::Tensor Padded(const at::Tensor& packed, const FamilyBatch& batch) const;
  at::Tensor ByTrunk(const at::Tensor& x) const;
  at::Tensor ByRow(const at::Tensor& x) const;
  // Attention of one new token a row over its trunk and its own tokens, [rows, heads, head_dim].
  at::Tensor Attend(int64_t layer, const AttentionInput& input);

  const Policy& policy_;
  bool adapters_;
  int64_t group_size_ = 0, max_tokens_ = 0;
  int64_t length_ = 0;  // tokens fed so far
  // Per layer: trunk keys and values [trunks, kv_heads, longest trunk, head_dim], stored once.
  std::vector<at::Tensor> trunk_k_, trunk_v_;
  // Per layer: the rows' own, [rows, kv_heads, max_tokens, head_dim], filled up to length_.
  std::vector<at::Tensor> branch_k_, branch_v_;
  at::Tensor trunk_mask_;  // [trunks, 1, longest trunk]: 0, or -inf behind a trunk's end
  at::Tensor slots_;       // int64 [rows]: trunk * group_size + member
  at::Tensor positions_;   // int64 [rows]: of the next token
};

}  // namespace flame

#endif  // FLAME_MODEL_DECODER_H_
