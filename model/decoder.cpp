#include "model/decoder.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/block.h"
#include "model/kernels.h"
#include "model/shapes.h"

namespace flame {
namespace {

// The first `used` entries of axis 2 of chosen rows, in a tensor with room for as many as before.
at::Tensor KeepRows(const at::Tensor& cache, const at::Tensor& rows, int64_t used) {
  std::vector<int64_t> shape = cache.sizes().vec();
  shape[0] = rows.size(0);
  at::Tensor kept = at::empty(shape, cache.options());
  kept.narrow(2, 0, used).copy_(cache.narrow(2, 0, used).index_select(0, rows));
  return kept;
}

// Batched over the first two axes: [a, b, m, k] x [a, b, k, n].
at::Tensor Multiply(const at::Tensor& x, const at::Tensor& y) {
  return at::bmm(x.flatten(0, 1), y.flatten(0, 1)).unflatten(0, {x.size(0), x.size(1)});
}

}  // namespace

Decoder::Decoder(const Policy& policy, bool adapters) : policy_(policy), adapters_(adapters) {}

// Final norm and head.
at::Tensor Decoder::Logits(const at::Tensor& x) const {
  const at::Tensor hidden =
      RmsNorm(x, policy_.parameters().at("model.norm.weight"), policy_.config().rms_eps).first;
  return at::linear(hidden, policy_.HeadWeight()).to(at::kFloat);
}

void Decoder::CheckLength(int64_t longest, int64_t max_tokens) const {
  const int64_t limit = policy_.config().max_positions;
  if (longest + max_tokens <= limit) return;
  throw UsageError("a prompt of ", longest, " tokens and ", max_tokens, " to write exceed the ",
                   "model's max_position_embeddings of ", limit);
}

// One layer's keys or values of all trunks, [T, kv_heads, D] -> [trunks, kv_heads, longest, D].
at::Tensor Decoder::Padded(const at::Tensor& packed, const FamilyBatch& batch) const {
  const int64_t longest = trunk_mask_.size(2);
  at::Tensor padded =
      at::zeros({trunk_mask_.size(0), packed.size(1), longest, packed.size(2)}, packed.options());
  for (size_t b = 0; b < batch.families.size(); ++b) {
    const Span trunk = batch.families[b].trunk;
    padded[static_cast<int64_t>(b)]
        .narrow(1, 0, trunk.size)
        .copy_(packed.narrow(0, trunk.begin, trunk.size).transpose(0, 1));
  }
  return padded;
}

void Decoder::Reset(const FamilyBatch& batch, int64_t group_size, int64_t max_tokens) {
  std::vector<int64_t> sizes;
  for (const FamilyLayout& family : batch.families) sizes.push_back(family.trunk.size);
  const int64_t longest = sizes.empty() ? 0 : *std::max_element(sizes.begin(), sizes.end());
  CheckLength(longest, max_tokens);
  group_size_ = group_size, max_tokens_ = max_tokens, length_ = 0;
  const auto trunks = static_cast<int64_t>(sizes.size());
  slots_ = at::arange(trunks * group_size, at::kLong);
  positions_ = at::tensor(sizes, at::kLong).index_select(0, TrunkOfRow());
  trunk_mask_ = at::zeros({trunks, 1, longest}, policy_.HeadWeight().options());
  for (int64_t b = 0; b < trunks; ++b) {
    trunk_mask_[b]
        .narrow(1, sizes[b], longest - sizes[b])
        .fill_(-std::numeric_limits<double>::infinity());
  }
  trunk_k_.clear(), trunk_v_.clear(), branch_k_.clear(), branch_v_.clear();
}

at::Tensor Decoder::TrunkOfRow() const { return slots_.div(group_size_, "floor"); }

at::Tensor Decoder::Prefill(const std::vector<std::vector<int32_t>>& trunks, int64_t group_size,
                            int64_t max_tokens) {
  const at::NoGradGuard no_grad;
  std::vector<Family> families;
  for (const auto& trunk : trunks) families.push_back({trunk, {}});
  const FamilyBatch batch = PackFamilies(families);
  Reset(batch, group_size, max_tokens);

  ForwardOptions options;
  options.adapters = adapters_;
  const auto context = policy_.MakeContext(batch, options);
  at::Tensor x = policy_.Embed(batch.tokens);
  for (int64_t layer = 0; layer < policy_.config().num_layers; ++layer) {
    BlockTape tape;
    x = BlockForward(policy_.LayerParameters(layer, adapters_), x, layer, *context, &tape);
    trunk_k_.push_back(Padded(tape.attention.key, batch));
    trunk_v_.push_back(Padded(tape.attention.value, batch));
    branch_k_.push_back(at::empty(
        {slots_.size(0), tape.attention.key.size(1), max_tokens, tape.attention.key.size(2)},
        x.options()));
    branch_v_.push_back(at::empty_like(branch_k_.back()));
  }
  std::vector<int64_t> last;
  for (const FamilyLayout& family : batch.families) {
    last.push_back(family.trunk.begin + family.trunk.size - 1);
  }
  return at::embedding(Logits(at::embedding(x, at::tensor(last, at::kLong))), TrunkOfRow());
}

at::Tensor Decoder::Step(const at::Tensor& tokens) {
  const at::NoGradGuard no_grad;
  if (length_ >= max_tokens_) {
    throw UsageError("decoder: a step past the ", max_tokens_, " tokens that Prefill was given");
  }
  BlockContext context;
  context.head_dim = policy_.config().head_dim;
  context.rms_eps = policy_.config().rms_eps;
  context.lora_scale = policy_.lora_scale_;
  const at::Tensor angles = RotationAngles(policy_.config(), positions_.to(at::kFloat));
  at::Tensor x = policy_.Embed(tokens);
  context.cosine = angles.cos().to(at::toOpMathType(x.scalar_type()));
  context.sine = angles.sin().to(at::toOpMathType(x.scalar_type()));
  for (int64_t layer = 0; layer < policy_.config().num_layers; ++layer) {
    const BlockParameters parameters = policy_.LayerParameters(layer, adapters_);
    BlockTape tape;
    BlockBegin(parameters, x, layer, context, &tape);
    tape.attended.out = Attend(layer, tape.attention);
    x = BlockEnd(parameters, layer, context, &tape);
  }
  ++length_;
  positions_ = positions_ + 1;
  return Logits(x);
}

// Rows of one trunk side by side: [rows, kv_heads, r, n] -> [trunks, kv_heads, G * r, n], 0 where a
// member has left.
at::Tensor Decoder::ByTrunk(const at::Tensor& x) const {
  const int64_t slots = trunk_mask_.size(0) * group_size_;
  at::Tensor full = x;
  if (x.size(0) != slots) {
    full = at::zeros({slots, x.size(1), x.size(2), x.size(3)}, x.options());
    full.index_copy_(0, slots_, x);
  }
  return full.unflatten(0, {trunk_mask_.size(0), group_size_}).transpose(1, 2).flatten(2, 3);
}

// The inverse.
at::Tensor Decoder::ByRow(const at::Tensor& x) const {
  const at::Tensor full =
      x.unflatten(2, {group_size_, x.size(2) / group_size_}).transpose(1, 2).flatten(0, 1);
  return full.size(0) == slots_.size(0) ? full : full.index_select(0, slots_);
}

at::Tensor Decoder::Attend(int64_t layer, const AttentionInput& input) {
  const int64_t used = length_ + 1, kv_heads = input.key.size(1), d = input.key.size(2);
  branch_k_[layer].select(2, length_).copy_(input.key);
  branch_v_[layer].select(2, length_).copy_(input.value);
  const at::Tensor query = input.query.unflatten(1, {kv_heads, input.query.size(1) / kv_heads}) *
                           (1.0 / std::sqrt(static_cast<double>(d)));
  const at::Tensor on_trunk =
      Multiply(ByTrunk(query), trunk_k_[layer].transpose(2, 3)) + trunk_mask_.unsqueeze(1);
  const at::Tensor on_own = Multiply(query, branch_k_[layer].narrow(2, 0, used).transpose(2, 3));
  const at::Tensor weights = at::softmax(at::cat({ByRow(on_trunk), on_own}, 3), 3);
  const int64_t longest = trunk_mask_.size(2);
  const at::Tensor from_trunk =
      ByRow(Multiply(ByTrunk(weights.narrow(3, 0, longest)), trunk_v_[layer]));
  const at::Tensor from_own =
      Multiply(weights.narrow(3, longest, used), branch_v_[layer].narrow(2, 0, used));
  return (from_trunk + from_own).flatten(1, 2);
}

void Decoder::Keep(const std::vector<int64_t>& rows) {
  const at::NoGradGuard no_grad;
  const at::Tensor kept = at::tensor(rows, at::kLong);
  slots_ = slots_.index_select(0, kept);
  positions_ = positions_.index_select(0, kept);
  for (size_t layer = 0; layer < branch_k_.size(); ++layer) {
    branch_k_[layer] = KeepRows(branch_k_[layer], kept, length_);
    branch_v_[layer] = KeepRows(branch_v_[layer], kept, length_);
  }
  DropEmptyTrunks();
}

void Decoder::DropEmptyTrunks() {
  const auto* slots = slots_.const_data_ptr<int64_t>();
  std::vector<int64_t> new_index(trunk_mask_.size(0), -1), kept;
  std::vector<int64_t> new_slots;
  for (int64_t r = 0; r < slots_.size(0); ++r) {
    const int64_t trunk = slots[r] / group_size_;
    if (new_index[trunk] < 0) {
      new_index[trunk] = static_cast<int64_t>(kept.size());
      kept.push_back(trunk);
    }
    new_slots.push_back(new_index[trunk] * group_size_ + slots[r] % group_size_);
  }
  if (static_cast<int64_t>(kept.size()) == trunk_mask_.size(0)) return;
  const at::Tensor index = at::tensor(kept, at::kLong);
  slots_ = at::tensor(new_slots, at::kLong);
  trunk_mask_ = trunk_mask_.index_select(0, index);
  for (size_t layer = 0; layer < trunk_k_.size(); ++layer) {
    trunk_k_[layer] = trunk_k_[layer].index_select(0, index);
    trunk_v_[layer] = trunk_v_[layer].index_select(0, index);
  }
}

}  // namespace flame
