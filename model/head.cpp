// The head: computes log-probabilities without a [tokens, vocabulary] tensor.
#include "model/head.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/parameter_units.h"
#include "model/policy.h"
#include "model/weight_unit.h"

namespace flame {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class Body>
void ForEachChunk(int64_t rows, int64_t vocab_size, const Body& body) {
  const int64_t chunk = HeadChunkRows(vocab_size);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    body(begin, std::min(chunk, rows - begin));
  }
}

at::ScalarType WideType(const at::Tensor& x) { return at::toOpMathType(x.scalar_type()); }

// Returns float32 if the weight is bfloat16: sums over a vocabulary need it.
at::Tensor ChunkLogits(const at::Tensor& rows, const at::Tensor& weight, double temperature) {
  at::Tensor logits = at::mm(rows, weight.t()).to(WideType(weight));
  return temperature == 1.0 ? logits : logits.mul_(1.0 / temperature);
}

// Computes sum[index[n]] += rows[n], in the same order on every run.
void AddRows(const at::Tensor& index, const at::Tensor& rows, at::Tensor* sum) {
  if (sum->is_cpu()) {
    sum->index_add_(0, index, rows);
  } else {  // sorts its indices; index_add_ would add in any order
    sum->index_put_({index}, rows, /*accumulate=*/true);
  }
}

// Computes sum += slope^T rows, in sum's type.
void AddWeightGradient(const at::Tensor& slope, const at::Tensor& rows, at::Tensor* sum) {
  if (sum->scalar_type() == rows.scalar_type()) {
    sum->addmm_(slope.t(), rows);
  } else {
    sum->add_(at::mm(slope.t(), rows));
  }
}

using Pass = ParameterUnits::Pass;

struct LogProbFunction : torch::autograd::Function<LogProbFunction> {
  // hidden [T, d], weight [V, d], sources [N], targets [N, K] -> log-probabilities [N, K]; also
  // fills `entropy` [N] unless null.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& sources,
                            const at::Tensor& targets, double temperature, at::Tensor* entropy,
                            c10::intrusive_ptr<WeightUnit> owner) {
    UnitUse use(owner->units, owner->unit, Pass::kForward, -1);
    const auto wide = hidden.options().dtype(WideType(hidden));
    at::Tensor logprobs = at::empty(targets.sizes(), wide);
    at::Tensor logsumexp = at::empty({sources.size(0)}, wide);
    ForEachChunk(sources.size(0), weight.size(0), [&](int64_t begin, int64_t size) {
      const at::Tensor rows = at::embedding(hidden, sources.narrow(0, begin, size));
      const at::Tensor logits = ChunkLogits(rows, weight, temperature);
      const at::Tensor lse = at::logsumexp(logits, 1);
      const at::Tensor picked = logits.gather(1, targets.narrow(0, begin, size));
      logsumexp.narrow(0, begin, size).copy_(lse);
      logprobs.narrow(0, begin, size).copy_(picked - lse.unsqueeze(1));
      if (entropy != nullptr) {
        const at::Tensor probability = (logits - lse.unsqueeze(1)).exp_();
        entropy->narrow(0, begin, size).copy_(lse - probability.mul_(logits).sum(1));
      }
    });
    ctx->save_for_backward({hidden, weight, sources, targets, logsumexp});
    ctx->saved_data["temperature"] = temperature;
    use.Done();
    ctx->saved_data["owner"] = c10::IValue::make_capsule(std::move(owner));
    return logprobs;
  }

  // d logprob / d logits = (onehot - softmax) / temperature; recomputes the softmax.
  static variable_list backward(AutogradContext* ctx, variable_list grad_output) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &hidden = saved[0], &weight = saved[1], &sources = saved[2];
    const double temperature = ctx->saved_data.at("temperature").toDouble();
    const bool wants_weight = ctx->needs_input_grad(1);
    const auto owner =
        c10::static_intrusive_pointer_cast<WeightUnit>(ctx->saved_data.at("owner").toCapsule());
    UnitUse use(owner->units, owner->unit, Pass::kBackward, owner->before);
    // A source may occur many times, so its gradients are summed in the wide type.
    const auto wide = hidden.options().dtype(WideType(hidden));
    at::Tensor grad_hidden = at::zeros(hidden.sizes(), wide), grad_weight;
    if (wants_weight) grad_weight = at::zeros(weight.sizes(), wide);
    ForEachChunk(sources.size(0), weight.size(0), [&](int64_t begin, int64_t size) {
      const at::Tensor index = sources.narrow(0, begin, size);
      const at::Tensor rows = at::embedding(hidden, index);
      const at::Tensor grad = grad_output[0].narrow(0, begin, size) / temperature;
      at::Tensor slope = ChunkLogits(rows, weight, temperature);
      slope.sub_(saved[4].narrow(0, begin, size).unsqueeze(1))
          .exp_()
          .mul_(-grad.sum(1, /*keepdim=*/true));
      slope.scatter_add_(1, saved[3].narrow(0, begin, size), grad);
      slope = slope.to(weight.scalar_type());
      AddRows(index, at::mm(slope, weight).to(grad_hidden.scalar_type()), &grad_hidden);
      if (wants_weight) AddWeightGradient(slope, rows, &grad_weight);
    });
    if (wants_weight) grad_weight = grad_weight.to(weight.scalar_type());
    use.Done();
    return {grad_hidden.to(hidden.scalar_type()),
            grad_weight,
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

int64_t HeadChunkRows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{1} << 24) / vocab_size, 16, 1024);
}

const at::Tensor& Policy::HeadWeight() const {
  return parts_.parameters.at(parts_.config.tie_embeddings ? "model.embed_tokens.weight"
                                                           : "lm_head.weight");
}

int64_t Policy::UnitOfHead() const {
  return parts_.config.tie_embeddings ? kEmbeddingUnit : HeadUnit(parts_.config.num_layers);
}

at::Tensor Policy::LogProbs(const at::Tensor& hidden, const at::Tensor& sources,
                            const at::Tensor& targets, double temperature,
                            at::Tensor* entropy) const {
  if (entropy != nullptr) {
    *entropy = at::empty({sources.size(0)}, hidden.options().dtype(WideType(hidden)));
  }
  const bool one = targets.dim() == 1;
  const at::Tensor tokens = (one ? targets.unsqueeze(1) : targets).to(device());
  const at::Tensor logprobs = LogProbFunction::apply(
      hidden, HeadWeight(), sources.to(device()), tokens, temperature, entropy,
      c10::make_intrusive<WeightUnit>(units_, UnitOfHead(), NormUnit(parts_.config.num_layers)));
  return one ? logprobs.squeeze(1) : logprobs;
}

at::Tensor Policy::LogitsOf(const at::Tensor& hidden, const at::Tensor& sources,
                            const std::vector<int64_t>& token_ids) const {
  UnitUse use(units_, UnitOfHead(), Pass::kForward, -1);
  // Uses `embedding` rather than index_select because its backward sums rows faster.
  const at::Tensor ids = at::tensor(token_ids, at::kLong).to(device());
  const at::Tensor rows = at::embedding(HeadWeight(), ids);
  use.Done();
  return at::linear(at::embedding(hidden, sources.to(device())).to(WideType(hidden)),
                    rows.to(WideType(rows)));
}

}  // namespace flame
