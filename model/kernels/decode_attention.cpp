#include "model/kernels/decode_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace flame {
namespace {

constexpr int64_t kPadding = 16;  // numbers: an AVX-512 vector of float32

int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// [blocks * kKeyBlock, kv_heads, D] -> [kv_heads, blocks, D, kKeyBlock]
at::Tensor InBlocks(const at::Tensor& key) {
  return key.unflatten(0, {key.size(0) / kKeyBlock, kKeyBlock}).permute({2, 0, 3, 1});
}

}  // namespace

int64_t KeyValueNumbers(int64_t count, int64_t kv_heads, int64_t capacity, int64_t head_dim,
                        KeyLayout layout) {
  if (layout == KeyLayout::kRows) return count * kv_heads * capacity * 2 * head_dim;
  return count * kv_heads * RoundUp(capacity, kKeyBlock) * (head_dim + RoundUp(head_dim, kPadding));
}

KeyValueCache::KeyValueCache(int64_t count, int64_t kv_heads, int64_t capacity, int64_t head_dim,
                             const at::TensorOptions& options, KeyLayout key_layout)
    : layout(key_layout) {
  if (layout == KeyLayout::kRows) {
    // Hidden keys get weight 0, but 0 hides only finite numbers, so nothing may be uninitialised.
    keys = at::zeros({count, kv_heads, capacity, head_dim}, options);
    values = at::zeros_like(keys);
    return;
  }
  const int64_t blocks = RoundUp(capacity, kKeyBlock) / kKeyBlock;
  keys = at::empty({count, kv_heads, blocks, head_dim, kKeyBlock}, options);
  values = at::empty({count, kv_heads, blocks * kKeyBlock, RoundUp(head_dim, kPadding)}, options);
}

void KeyValueCache::Fill(int64_t index, const at::Tensor& key, const at::Tensor& value) {
  if (layout == KeyLayout::kRows) {
    keys[index].narrow(1, 0, key.size(0)).copy_(key.transpose(0, 1));
    values[index].narrow(1, 0, key.size(0)).copy_(value.transpose(0, 1));
    return;
  }
  const int64_t n = key.size(0), d = key.size(2), whole = n / kKeyBlock, rest = n % kKeyBlock;
  const at::Tensor blocks = keys[index];
  blocks.narrow(1, 0, whole).copy_(InBlocks(key.narrow(0, 0, whole * kKeyBlock)));
  if (rest > 0) {
    // Scores are computed for whole blocks, so the rest of the last block must hold finite numbers.
    at::Tensor last = blocks.select(1, whole);
    last.zero_();
    last.narrow(2, 0, rest).copy_(key.narrow(0, whole * kKeyBlock, rest).permute({1, 2, 0}));
  }
  at::Tensor rows = values[index].narrow(1, 0, n);
  rows.narrow(2, 0, d).copy_(value.transpose(0, 1));
  rows.narrow(2, d, rows.size(2) - d).zero_();
}

}  // namespace flame
