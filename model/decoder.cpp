#include "model/decoder.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"
#include "model/kernels.h"
#include "model/shapes.h"

namespace flame {
namespace {

at::Tensor Rows(const at::Tensor& x, const std::vector<int64_t>& rows) {
  return at::embedding(x, at::tensor(rows, at::kLong).to(x.device()));
}

}  // namespace

Decoder::Decoder(const Policy& policy, const DecoderShape& shape)
    : policy_(policy), shape_(shape), trunk_size_(shape.places), branches_(shape.slots) {
  const at::NoGradGuard no_grad;
  const PolicyConfig& config = policy.config();
  const int64_t positions = shape.trunk_tokens + shape.max_tokens;
  if (positions > config.max_positions) {
    throw UsageError("a prompt of ", shape.trunk_tokens, " tokens and ", shape.max_tokens,
                     " to write exceed the model's max_position_embeddings of ",
                     config.max_positions);
  }
  context_.num_layers = config.num_layers;
  context_.head_dim = config.head_dim;
  context_.rms_eps = config.rms_eps;
  context_.lora_scale = policy.lora_scale_;
  const at::TensorOptions options = policy.HeadWeight().options();
  const at::Tensor angles = RotationAngles(config, at::arange(positions, at::kFloat));
  const at::ScalarType wide = at::toOpMathType(options.dtype().toScalarType());
  cosine_ = angles.cos().to(policy.device(), wide), sine_ = angles.sin().to(policy.device(), wide);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    layers_.push_back(policy.LayerParameters(layer, /*adapters=*/true));
    trunks_.emplace_back(shape.places, config.num_kv_heads, shape.trunk_tokens, config.head_dim,
                         options);
    own_.emplace_back(shape.slots, config.num_kv_heads, shape.max_tokens, config.head_dim, options);
  }
}

// Final norm and head.
at::Tensor Decoder::Logits(const at::Tensor& x) const {
  const at::Tensor hidden =
      RmsNorm(x, policy_.parameters().at("model.norm.weight"), policy_.config().rms_eps).first;
  return at::linear(hidden, policy_.HeadWeight()).to(at::kFloat);
}

at::Tensor Decoder::Prefill(const std::vector<int64_t>& places,
                            const std::vector<std::vector<int32_t>>& trunks) {
  const at::NoGradGuard no_grad;
  std::vector<Family> families;
  for (const auto& trunk : trunks) families.push_back({trunk, {}});
  const FamilyBatch batch = PackFamilies(families);
  std::vector<int64_t> last;
  BlockContext context = context_;
  context.families = batch.families;
  for (size_t i = 0; i < places.size(); ++i) {
    const Span trunk = batch.families[i].trunk;
    last.push_back(trunk.begin + trunk.size - 1);
    context.asked.push_back({{static_cast<int64_t>(i), 1}, {}});
    trunk_size_[places[i]] = trunk.size;
  }
  context.asked_rows = at::tensor(last, at::kLong).to(policy_.device());
  const at::Tensor positions = batch.positions.to(policy_.device());
  context.cosine = at::embedding(cosine_, positions);
  context.sine = at::embedding(sine_, positions);
  at::Tensor x = policy_.Embed(batch.tokens);
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    BlockTape tape;
    BlockBegin(layers_[layer], x, static_cast<int64_t>(layer), context, &tape);
    for (size_t i = 0; i < places.size(); ++i) {
      const Span trunk = batch.families[i].trunk;
      trunks_[layer].Fill(places[i], tape.attention.key.narrow(0, trunk.begin, trunk.size),
                          tape.attention.value.narrow(0, trunk.begin, trunk.size));
    }
    tape.attended = BlockAttention(tape.attention, static_cast<int64_t>(layer), context);
    x = BlockEnd(layers_[layer], static_cast<int64_t>(layer), context, &tape);
  }
  return Logits(x);
}

void Decoder::Begin(int64_t slot, int64_t place) { branches_[slot] = {place, 0}; }

DecodeStep Decoder::Plan(const std::vector<int64_t>& slots) const {
  DecodeStep step;
  step.slots = slots;
  std::vector<int64_t> group_of_place(trunk_size_.size(), -1);
  for (size_t r = 0; r < slots.size(); ++r) {
    const Branch& branch = branches_[slots[r]];
    if (branch.size >= shape_.max_tokens) {
      throw UsageError("decoder: slot ", slots[r], " has the ", shape_.max_tokens,
                       " tokens that there is room for");
    }
    step.own_size.push_back(branch.size);
    int64_t& group = group_of_place[branch.place];
    if (group < 0) {
      group = static_cast<int64_t>(step.groups.size());
      step.groups.push_back({branch.place, trunk_size_[branch.place], {}});
    }
    step.groups[group].rows.push_back(static_cast<int64_t>(r));
  }
  return step;
}

at::Tensor Decoder::Step(const std::vector<int64_t>& slots, const std::vector<int64_t>& tokens) {
  const at::NoGradGuard no_grad;
  const DecodeStep step = Plan(slots);
  std::vector<int64_t> positions;
  for (const int64_t slot : slots) {
    Branch& branch = branches_[slot];
    positions.push_back(trunk_size_[branch.place] + branch.size++);
  }
  context_.cosine = Rows(cosine_, positions);
  context_.sine = Rows(sine_, positions);
  at::Tensor x = policy_.Embed(at::tensor(tokens, at::kLong));
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    BlockTape tape;
    BlockBegin(layers_[layer], x, static_cast<int64_t>(layer), context_, &tape);
    tape.attended.out = DecodeAttention(tape.attention, step, trunks_[layer], &own_[layer]);
    x = BlockEnd(layers_[layer], static_cast<int64_t>(layer), context_, &tape);
  }
  return Logits(x);
}

}  // namespace flame
