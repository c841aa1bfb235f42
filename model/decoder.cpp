#include "model/decoder.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>

#include <utility>

#include "base/error.h"
#include "model/kernels/kernels.h"
#include "model/shapes.h"

namespace flame {
namespace {

at::Tensor Rows(const at::Tensor& x, const std::vector<int64_t>& rows) {
  return at::embedding(x, at::tensor(rows, at::kLong).to(x.device()));
}

}  // namespace

Decoder::Decoder(const Policy& policy, const DecoderShape& shape)
    : policy_(policy), shape_(shape), trunk_size_(shape.places), branches_(shape.slots) {
  if (policy.device().is_cpu()) {
    Allocate(KeyLayout::kBlocks);
  } else {
    recorder_ = MakeStepRecorder(policy.device());
    Allocate(KeyLayout::kRows);
  }
}

Decoder::Decoder(const Policy& policy, const DecoderShape& shape,
                 std::unique_ptr<StepRecorder> recorder)
    : policy_(policy),
      shape_(shape),
      trunk_size_(shape.places),
      branches_(shape.slots),
      recorder_(std::move(recorder)) {
  Allocate(KeyLayout::kRows);
}

void Decoder::Allocate(KeyLayout layout) {
  const at::NoGradGuard no_grad;
  const PolicyConfig& config = policy_.config();
  const int64_t positions = shape_.trunk_tokens + shape_.max_tokens;
  if (positions > config.max_positions) {
    throw UsageError("a prompt of ", shape_.trunk_tokens, " tokens and ", shape_.max_tokens,
                     " to write exceed the model's max_position_embeddings of ",
                     config.max_positions);
  }
  context_.num_layers = config.num_layers;
  context_.head_dim = config.head_dim;
  context_.rms_eps = config.rms_eps;
  context_.lora_scale = policy_.parts().lora_scale;
  policy_.CheckRead();
  const at::TensorOptions options = policy_.HeadWeight().options();
  const at::Tensor angles = RotationAngles(config, at::arange(positions, at::kFloat));
  const at::ScalarType wide = at::toOpMathType(options.dtype().toScalarType());
  cosine_ = angles.cos().to(policy_.device(), wide);
  sine_ = angles.sin().to(policy_.device(), wide);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    layers_.push_back(policy_.LayerParameters(layer, /*adapters=*/true));
    trunks_.emplace_back(shape_.places, config.num_kv_heads, shape_.trunk_tokens, config.head_dim,
                         options, layout);
    own_.emplace_back(shape_.slots, config.num_kv_heads, shape_.max_tokens, config.head_dim,
                      options, layout);
  }
  if (layout == KeyLayout::kBlocks) return;
  const StaticShape rows = {
      shape_.slots,        shape_.places,     shape_.group > 0 ? shape_.group : shape_.slots,
      shape_.trunk_tokens, shape_.max_tokens, config.num_kv_heads};
  static_ = std::make_unique<StaticStep>(rows, policy_.device());
  logits_ = at::empty({shape_.slots, config.vocab_size}, options);
  // Pinned memory receives copies at the bus's full speed.
  host_logits_ = at::empty(logits_.sizes(),
                           options.device(at::kCPU).pinned_memory(policy_.device().is_cuda()));
}

// Applies the final norm and the head.
at::Tensor Decoder::Logits(const at::Tensor& x) const {
  const at::Tensor hidden =
      RmsNorm(x, policy_.parameters().at("model.norm.weight"), policy_.config().rms_eps).first;
  return at::linear(hidden, policy_.HeadWeight());
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
    if (static_) static_->SetTrunk(places[i], trunk.size);
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
  return Logits(x).cpu().to(at::kFloat);
}

void Decoder::Begin(int64_t slot, int64_t place) {
  branches_[slot] = {place, 0};
  if (static_) static_->Begin(slot, place);
}

void Decoder::CheckRoom(int64_t slot) const {
  if (branches_[slot].size < shape_.max_tokens) return;
  throw UsageError("decoder: slot ", slot, " has the ", shape_.max_tokens,
                   " tokens that there is room for");
}

DecodeStep Decoder::Plan(const std::vector<int64_t>& slots) const {
  DecodeStep step;
  step.slots = slots;
  std::vector<int64_t> group_of_place(trunk_size_.size(), -1);
  for (size_t r = 0; r < slots.size(); ++r) {
    const Branch& branch = branches_[slots[r]];
    CheckRoom(slots[r]);
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
  if (static_) return StepStatic(slots, tokens);
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
  return Logits(x).to(at::kFloat);
}

at::Tensor Decoder::StepStatic(const std::vector<int64_t>& slots,
                               const std::vector<int64_t>& tokens) {
  for (size_t i = 0; i < slots.size(); ++i) {
    CheckRoom(slots[i]);
    if (tokens[i] >= 0 && tokens[i] < policy_.config().vocab_size) continue;
    throw UsageError("decoder: token ", tokens[i], "; expected 0 to ",
                     policy_.config().vocab_size - 1);
  }
  for (size_t i = 0; i < slots.size(); ++i) {
    ++branches_[slots[i]].size;
    static_->Feed(slots[i], tokens[i]);
  }
  static_->Upload();
  // The first step is not recorded: a decoder that takes only one step gains nothing from a
  // recording.
  const int64_t step = num_static_steps_++;
  if (!recorder_ || step == 0) {
    RunStatic();
  } else if (step == 1) {
    recorder_->Record([this] { RunStatic(); });
  } else {
    recorder_->Replay();
  }
  at::Tensor found = host_logits_.narrow(0, 0, static_cast<int64_t>(slots.size()));
  found.copy_(Rows(logits_, slots));
  return found.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

void Decoder::RunStatic() {
  const at::NoGradGuard no_grad;
  static_->Prepare();
  context_.cosine = at::embedding(cosine_, static_->positions());
  context_.sine = at::embedding(sine_, static_->positions());
  at::Tensor x =
      at::embedding(policy_.parameters().at("model.embed_tokens.weight"), static_->tokens());
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    BlockTape tape;
    BlockBegin(layers_[layer], x, static_cast<int64_t>(layer), context_, &tape);
    tape.attended.out = static_->Attend(tape.attention, trunks_[layer], &own_[layer]);
    x = BlockEnd(layers_[layer], static_cast<int64_t>(layer), context_, &tape);
  }
  logits_.copy_(Logits(x));
}

}  // namespace flame
