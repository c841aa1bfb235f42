// Attention of one decoding step: each row's new token over its group's trunk and the row's own
// tokens.
#ifndef FLAME_MODEL_KERNELS_DECODE_ATTENTION_H_
#define FLAME_MODEL_KERNELS_DECODE_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/kernels/attention.h"

namespace flame {

// Tokens in one block of keys.
inline constexpr int64_t kKeyBlock = 64;

// kBlocks: keys are transposed in blocks and values padded to whole vectors, so that the CPU's
// products with both run along memory. Pages without tokens are never touched, so the system never
// allocates them. kRows: both are [count, kv_heads, capacity, D], for ATen's operators; every
// number is initialised.
enum class KeyLayout { kBlocks, kRows };

// Returns the numbers of a layer's keys and values of `count` sequences in a KeyValueCache.
int64_t KeyValueNumbers(int64_t count, int64_t kv_heads, int64_t capacity, int64_t head_dim,
                        KeyLayout layout);

// One layer's keys and values of `count` sequences of up to `capacity` tokens, allocated once.
struct KeyValueCache {
  KeyValueCache(int64_t count, int64_t kv_heads, int64_t capacity, int64_t head_dim,
                const at::TensorOptions& options, KeyLayout layout = KeyLayout::kBlocks);
  // Sets tokens 0.. of sequence `index`: [n, kv_heads, D] with n <= capacity.
  void Fill(int64_t index, const at::Tensor& key, const at::Tensor& value);

  KeyLayout layout;
  at::Tensor keys;    // kBlocks: [count, kv_heads, blocks, D, kKeyBlock]
  at::Tensor values;  // [count, kv_heads, blocks * kKeyBlock, D rounded up to 64 bytes of float32]
};

// Rows that continue one trunk.
struct DecodeGroup {
  int64_t place = 0;          // index in the trunks' cache
  int64_t size = 0;           // tokens of the trunk
  std::vector<int64_t> rows;  // at least one
};

// One decoding step. Row r is sequence slots[r] of the branches' cache, which already holds
// own_size[r] tokens. Every row is in exactly one group.
struct DecodeStep {
  std::vector<int64_t> slots, own_size;
  std::vector<DecodeGroup> groups;
};

// Appends each row's key and value to its sequence in `own`. Returns softmax(query key^T / sqrt(D))
// value over the row's trunk and its own tokens including the new one, [rows, heads, D], in one
// pass over a trunk's keys for all rows of its group (online softmax, Milakov & Gimelshein 2018).
// Tensors are contiguous on the CPU, caches are kBlocks; float32, float64, or bfloat16 with sums in
// float32. A row's result does not depend on the other rows or on the number of threads.
at::Tensor DecodeAttention(const AttentionInput& input, const DecodeStep& step,
                           const KeyValueCache& trunks, KeyValueCache* own);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_DECODE_ATTENTION_H_
