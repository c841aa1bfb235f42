#include "model/block.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>
#include <utility>

#include "base/trace.h"
#include "model/kernels/kernels.h"
#include "model/weight_unit.h"

namespace flame {

std::vector<at::Tensor*> BlockParameters::Tensors(const BlockParameters& present) {
  std::vector<at::Tensor*> all = {&attention_norm, &ffn_norm};
  if (present.query_norm.defined()) all.insert(all.end(), {&query_norm, &key_norm});
  for (size_t m = 0; m < kNumMaps; ++m) {
    if (present.maps[m].weight.defined()) all.push_back(&maps[m].weight);
    if (present.maps[m].bias.defined()) all.push_back(&maps[m].bias);
    if (present.maps[m].lora_a.defined()) {
      all.insert(all.end(), {&maps[m].lora_a, &maps[m].lora_b});
    }
  }
  return all;
}

namespace {

// One linear map of one layer, with its adapter.
class MapOperator {
 public:
  MapOperator(const BlockParameters& parameters, Map map, int64_t layer,
              const BlockContext& context)
      : map_(parameters.maps[map]),
        index_(static_cast<uint32_t>(layer * kNumMaps + map)),
        context_(context) {}

  // Returns x [T, in] mapped to [T, out], plus `residual` [T, out] if given.
  at::Tensor Forward(const at::Tensor& x, const at::Tensor& residual = {}) const {
    const at::Tensor weight = Weight(x).t();
    at::Tensor y = residual.defined() ? at::addmm(residual, x, weight) : at::mm(x, weight);
    if (map_.bias.defined()) y.add_(map_.bias);
    if (map_.lora_a.defined()) {
      y.addmm_(at::mm(Dropped(x), A(x).t()), B(x).t(), 1, context_.lora_scale);
    }
    return y;
  }

  // Adds the gradient of x to `grad_x`; sets `grad_x` to it if undefined.
  void InputGradient(const at::Tensor& grad, at::Tensor* grad_x) const {
    if (grad_x->defined()) {
      grad_x->addmm_(grad, Weight(grad));
    } else {
      *grad_x = at::mm(grad, Weight(grad));
    }
    if (!map_.lora_a.defined()) return;
    if (context_.dropping()) {
      grad_x->add_(Dropped(at::mm(Inner(grad), A(grad))));
    } else {
      grad_x->addmm_(Inner(grad), A(grad));
    }
  }

  // Computes the gradients of the map's tensors that require one.
  void WeightGradients(const at::Tensor& x, const at::Tensor& grad, LinearMap* gradients) const {
    if (map_.weight.defined() && map_.weight.requires_grad())
      gradients->weight = at::mm(grad.t(), x);
    if (map_.bias.defined() && map_.bias.requires_grad()) gradients->bias = grad.sum(0);
    if (!map_.lora_a.defined() || !map_.lora_a.requires_grad()) return;
    const at::Tensor dropped = Dropped(x);
    const auto dtype = map_.lora_a.scalar_type();
    gradients->lora_a = at::mm(Inner(grad).t(), dropped).to(dtype);
    gradients->lora_b =
        at::mm(grad.t(), at::mm(dropped, A(x).t())).to(dtype).mul_(context_.lora_scale);
  }

  void Backward(const at::Tensor& x, const at::Tensor& grad, LinearMap* gradients,
                at::Tensor* grad_x) const {
    InputGradient(grad, grad_x);
    WeightGradients(x, grad, gradients);
  }

 private:
  // Weight, A and B return the map's tensors in the type of `like`. A quantised weight is
  // dequantised at each use, so that only one of a model's plain weights exists at a time.
  at::Tensor Weight(const at::Tensor& like) const {
    return map_.weight.defined() ? map_.weight : Dequantize(map_.quantized, like.scalar_type());
  }
  at::Tensor A(const at::Tensor& like) const { return map_.lora_a.to(like.scalar_type()); }
  at::Tensor B(const at::Tensor& like) const { return map_.lora_b.to(like.scalar_type()); }
  at::Tensor Dropped(const at::Tensor& x) const {
    if (!context_.dropping()) return x;
    // If all rows are asked for, the asked rows are the rows themselves.
    const bool all = x.size(0) == context_.mask_rows.size(0);
    return Dropout(x, context_.dropout, context_.dropout_seed, index_,
                   all ? context_.mask_rows : context_.asked_mask_rows);
  }
  // Returns the gradient of lora_B's input, [T, r].
  at::Tensor Inner(const at::Tensor& grad) const {
    return at::mm(grad, B(grad)).mul_(context_.lora_scale);
  }

  const LinearMap& map_;
  uint32_t index_;
  const BlockContext& context_;
};

at::Tensor Heads(const at::Tensor& x, const BlockContext& context) {
  return x.view({x.size(0), x.size(1) / context.head_dim, context.head_dim});
}

at::Tensor Flat(const at::Tensor& x) { return x.view({x.size(0), x.size(1) * x.size(2)}); }

// Norms each head of x [T, heads, D] if the policy has such a norm. `raw` and `inverse` receive
// what the derivative needs.
void NormHeads(const at::Tensor& weight, double eps, at::Tensor* x, at::Tensor* raw,
               at::Tensor* inverse) {
  if (!weight.defined()) return;
  *raw = x->flatten(0, 1);
  auto [normed, inverse_rms] = RmsNorm(*raw, weight, eps);
  *x = normed.view_as(*x);
  *inverse = inverse_rms;
}

void NormHeadsBackward(const at::Tensor& weight, const at::Tensor& raw, const at::Tensor& inverse,
                       at::Tensor* grad, at::Tensor* grad_weight) {
  if (!weight.defined()) return;
  auto [grad_raw, grad_norm] =
      RmsNormBackward(grad->flatten(0, 1), raw, weight, inverse, at::zeros_like(raw));
  *grad = grad_raw.view_as(*grad);
  *grad_weight = grad_norm;
}

// Returns the rows for which a layer computes queries and everything after them. Undefined: all
// rows.
at::Tensor AskedRows(int64_t layer, const BlockContext& context) {
  return layer + 1 == context.num_layers ? context.asked_rows : at::Tensor();
}

at::Tensor Pick(const at::Tensor& x, const at::Tensor& rows) {
  return rows.defined() ? at::embedding(x, rows) : x;
}

// The derivative of Pick; `rows` are distinct.
at::Tensor Unpick(const at::Tensor& grad, const at::Tensor& rows, int64_t tokens) {
  if (!rows.defined()) return grad;
  return at::zeros({tokens, grad.size(1)}, grad.options()).index_copy_(0, rows, grad);
}

AttentionLayout LayoutOf(int64_t layer, const BlockContext& context) {
  return {context.families, AskedRows(layer, context).defined() ? context.asked : context.families};
}

}  // namespace

int64_t TapeBytes(const PolicyConfig& config, int64_t rows, int64_t asked, int64_t item_bytes,
                  int64_t wide_bytes) {
  const int64_t t = rows, q = asked, d = config.d_model, f = config.d_ff;
  const int64_t heads = config.num_heads, kv_heads = config.num_kv_heads;
  const int64_t h = heads * config.head_dim, k = kv_heads * config.head_dim;
  // attention_in, query, key and value, attended, middle and ffn_in, gate and up.
  int64_t numbers = t * d + q * h + 2 * t * k + q * h + 2 * q * d + 2 * q * f;
  int64_t wide = t + q + q * heads;  // the norms' inverses and attention's log-sum-exp
  if (config.qk_norm) {
    numbers += q * h + t * k;
    wide += q * heads + t * kv_heads;
  }
  return numbers * item_bytes + wide * wide_bytes;
}

void BlockBegin(const BlockParameters& p, const at::Tensor& input, int64_t layer,
                const BlockContext& context, BlockTape* tape) {
  const auto map = [&](Map which) { return MapOperator(p, which, layer, context); };
  BlockTape& t = *tape;
  const at::Tensor rows = AskedRows(layer, context);
  t.input = input;
  std::tie(t.attention_in, t.attention_inverse) = RmsNorm(input, p.attention_norm, context.rms_eps);
  t.attention.query = Heads(map(kQuery).Forward(Pick(t.attention_in, rows)), context);
  t.attention.key = Heads(map(kKey).Forward(t.attention_in), context);
  t.attention.value = Heads(map(kValue).Forward(t.attention_in), context);
  NormHeads(p.query_norm, context.rms_eps, &t.attention.query, &t.raw_query, &t.query_inverse);
  NormHeads(p.key_norm, context.rms_eps, &t.attention.key, &t.raw_key, &t.key_inverse);
  Rotate(&t.attention.query, Pick(context.cosine, rows), Pick(context.sine, rows),
         /*inverse=*/false);
  Rotate(&t.attention.key, context.cosine, context.sine, /*inverse=*/false);
}

at::Tensor BlockEnd(const BlockParameters& p, int64_t layer, const BlockContext& context,
                    BlockTape* tape) {
  const auto map = [&](Map which) { return MapOperator(p, which, layer, context); };
  BlockTape& t = *tape;
  t.middle = map(kOutput).Forward(Flat(t.attended.out), Pick(t.input, AskedRows(layer, context)));
  std::tie(t.ffn_in, t.ffn_inverse) = RmsNorm(t.middle, p.ffn_norm, context.rms_eps);
  t.gate = map(kGate).Forward(t.ffn_in);
  t.up = map(kUp).Forward(t.ffn_in);
  return map(kDown).Forward(SwiGlu(t.gate, t.up), t.middle);
}

AttentionOutput BlockAttention(const AttentionInput& input, int64_t layer,
                               const BlockContext& context) {
  return FamilyAttention(input, LayoutOf(layer, context));
}

at::Tensor BlockForward(const BlockParameters& p, const at::Tensor& input, int64_t layer,
                        const BlockContext& context, BlockTape* tape) {
  BlockBegin(p, input, layer, context, tape);
  tape->attended = BlockAttention(tape->attention, layer, context);
  return BlockEnd(p, layer, context, tape);
}

at::Tensor BlockBackward(const BlockParameters& p, const at::Tensor& grad_output, int64_t layer,
                         const BlockContext& context, BlockTape t, BlockParameters* gradients) {
  const auto map = [&](Map which) { return MapOperator(p, which, layer, context); };
  auto& grads = gradients->maps;
  const at::Tensor residual = grad_output.contiguous();
  at::Tensor grad_product, grad_ffn_in, grad_middle;
  map(kDown).InputGradient(residual, &grad_product);
  at::Tensor product = SwiGluBackward(grad_product, &t.gate, &t.up);
  map(kDown).WeightGradients(product, residual, &grads[kDown]);
  map(kGate).Backward(t.ffn_in, t.gate, &grads[kGate], &grad_ffn_in);
  map(kUp).Backward(t.ffn_in, t.up, &grads[kUp], &grad_ffn_in);
  std::tie(grad_middle, gradients->ffn_norm) =
      RmsNormBackward(grad_ffn_in, t.middle, p.ffn_norm, t.ffn_inverse, residual);
  // Frees the widest tensors of a block before its attention allocates its own.
  for (at::Tensor* done : {&t.gate, &t.up, &grad_product, &product}) done->reset();

  const at::Tensor rows = AskedRows(layer, context);
  const int64_t tokens = t.input.size(0);
  at::Tensor grad_attended, grad_query_in, grad_attention_in;
  map(kOutput).Backward(Flat(t.attended.out), grad_middle, &grads[kOutput], &grad_attended);
  AttentionInput grad = FamilyAttentionBackward(
      t.attention, t.attended, Heads(grad_attended, context), LayoutOf(layer, context));
  Rotate(&grad.query, Pick(context.cosine, rows), Pick(context.sine, rows), /*inverse=*/true);
  Rotate(&grad.key, context.cosine, context.sine, /*inverse=*/true);
  NormHeadsBackward(p.query_norm, t.raw_query, t.query_inverse, &grad.query,
                    &gradients->query_norm);
  NormHeadsBackward(p.key_norm, t.raw_key, t.key_inverse, &grad.key, &gradients->key_norm);
  map(kQuery).Backward(Pick(t.attention_in, rows), Flat(grad.query), &grads[kQuery],
                       &grad_query_in);
  grad_attention_in = Unpick(grad_query_in, rows, tokens);
  map(kKey).Backward(t.attention_in, Flat(grad.key), &grads[kKey], &grad_attention_in);
  map(kValue).Backward(t.attention_in, Flat(grad.value), &grads[kValue], &grad_attention_in);
  at::Tensor grad_input;
  std::tie(grad_input, gradients->attention_norm) =
      RmsNormBackward(grad_attention_in, t.input, p.attention_norm, t.attention_inverse,
                      Unpick(grad_middle, rows, tokens));
  return grad_input;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Pass = ParameterUnits::Pass;

// The data of one block's autograd node. Freed when its backward has run.
struct BlockState : torch::CustomClassHolder {
  BlockParameters parameters;
  BlockTape tape;  // only `input` if the block is recomputed
  int64_t layer = 0;
  std::shared_ptr<const BlockContext> context;
};

// Adds to .grad what autograd would add, and clears `gradients` so that autograd adds nothing.
void AddGradients(BlockParameters parameters, BlockParameters* gradients) {
  const std::vector<at::Tensor*> from = gradients->Tensors(parameters);
  const std::vector<at::Tensor*> to = parameters.Tensors(parameters);
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i]->requires_grad()) to[i]->mutable_grad().add_(*from[i]);
    *from[i] = at::Tensor();
  }
}

struct BlockFunction : torch::autograd::Function<BlockFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, at::TensorList,
                            c10::intrusive_ptr<BlockState> state) {
    const TraceScope trace("forward of block", state->layer);
    BlockTape tape;
    UnitUse use(state->context->units, BlockUnit(state->layer), Pass::kForward,
                BlockUnit(state->layer + 1));
    at::Tensor output =
        BlockForward(state->parameters, input.detach(), state->layer, *state->context, &tape);
    use.Done();
    state->tape.input = tape.input;
    if (!state->context->recompute) state->tape = std::move(tape);
    ctx->saved_data["state"] = c10::IValue::make_capsule(std::move(state));
    return output;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_output) {
    auto state =
        c10::static_intrusive_pointer_cast<BlockState>(ctx->saved_data.at("state").toCapsule());
    ctx->saved_data.clear();
    const TraceScope trace("backward of block", state->layer);
    BlockTape tape = std::move(state->tape);
    UnitUse use(state->context->units, BlockUnit(state->layer), Pass::kBackward,
                state->layer == 0 ? -1 : BlockUnit(state->layer - 1));
    if (state->context->recompute) {
      const at::Tensor input = tape.input;
      BlockForward(state->parameters, input, state->layer, *state->context, &tape);
    }
    BlockParameters gradients;
    variable_list result = {BlockBackward(state->parameters, grad_output[0], state->layer,
                                          *state->context, std::move(tape), &gradients)};
    if (state->context->units != nullptr) AddGradients(state->parameters, &gradients);
    use.Done();
    for (at::Tensor* gradient : gradients.Tensors(state->parameters)) result.push_back(*gradient);
    result.emplace_back();  // no gradient for `state`
    return result;
  }
};

struct NormFunction : torch::autograd::Function<NormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& weight,
                            double eps, c10::intrusive_ptr<WeightUnit> owner) {
    UnitUse use(owner->units, owner->unit, Pass::kForward, -1);
    auto [output, inverse] = RmsNorm(input, weight, eps);
    use.Done();
    ctx->save_for_backward({input, weight, inverse});
    ctx->saved_data["owner"] = c10::IValue::make_capsule(std::move(owner));
    return output;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grad_output) {
    const variable_list saved = ctx->get_saved_variables();
    const auto owner =
        c10::static_intrusive_pointer_cast<WeightUnit>(ctx->saved_data.at("owner").toCapsule());
    UnitUse use(owner->units, owner->unit, Pass::kBackward, owner->before);
    auto [grad_input, grad_weight] = RmsNormBackward(grad_output[0].contiguous(), saved[0],
                                                     saved[1], saved[2], at::zeros_like(saved[0]));
    use.Done();
    return {grad_input, grad_weight, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Block(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                 std::shared_ptr<const BlockContext> context) {
  auto state = c10::make_intrusive<BlockState>();
  state->parameters = parameters;
  state->layer = layer;
  state->context = std::move(context);
  std::vector<at::Tensor> list;
  for (const at::Tensor* tensor : state->parameters.Tensors(state->parameters))
    list.push_back(*tensor);
  return BlockFunction::apply(input, at::TensorList(list), std::move(state));
}

at::Tensor Norm(const at::Tensor& input, const at::Tensor& weight, double eps,
                c10::intrusive_ptr<WeightUnit> owner) {
  return NormFunction::apply(input, weight, eps, std::move(owner));
}

}  // namespace flame
