// The head: log-probabilities without a [tokens, vocabulary] tensor.
#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/embedding_dense_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/policy.h"

namespace flame {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows whose logits exist at a time: about 4 M numbers, whatever the vocabulary.
int64_t ChunkRows(int64_t vocab_size) {
  return std::clamp<int64_t>((int64_t{1} << 22) / vocab_size, 16, 1024);
}

template <class Body>
void ForEachChunk(int64_t rows, int64_t vocab_size, const Body& body) {
  const int64_t chunk = ChunkRows(vocab_size);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    body(begin, std::min(chunk, rows - begin));
  }
}

at::Tensor ChunkLogits(const at::Tensor& rows, const at::Tensor& weight, double temperature) {
  at::Tensor logits = at::mm(rows, weight.t());
  return temperature == 1.0 ? logits : logits.mul_(1.0 / temperature);
}

struct LogProbFunction : torch::autograd::Function<LogProbFunction> {
  // hidden [T, d], weight [V, d], sources and targets [N] -> log-probabilities [N]; `entropy` [N]
  // is filled where defined.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& sources,
                            const at::Tensor& targets, double temperature, at::Tensor* entropy) {
    const at::Tensor rows = at::embedding(hidden, sources);
    at::Tensor logprobs = at::empty({sources.size(0)}, hidden.options());
    at::Tensor logsumexp = at::empty_like(logprobs);
    ForEachChunk(sources.size(0), weight.size(0), [&](int64_t begin, int64_t size) {
      const at::Tensor logits = ChunkLogits(rows.narrow(0, begin, size), weight, temperature);
      const at::Tensor lse = at::logsumexp(logits, 1);
      const at::Tensor picked = logits.gather(1, targets.narrow(0, begin, size).unsqueeze(1));
      logsumexp.narrow(0, begin, size).copy_(lse);
      logprobs.narrow(0, begin, size).copy_(picked.squeeze(1) - lse);
      if (entropy != nullptr) {
        const at::Tensor probability = (logits - lse.unsqueeze(1)).exp_();
        entropy->narrow(0, begin, size).copy_(lse - probability.mul_(logits).sum(1));
      }
    });
    ctx->save_for_backward({hidden, weight, sources, targets, logsumexp});
    ctx->saved_data["temperature"] = temperature;
    return logprobs;
  }

  // d logprob / d logits = (onehot - softmax) / temperature; the softmax is computed again.
  static variable_list backward(AutogradContext* ctx, variable_list grad_output) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &hidden = saved[0], &weight = saved[1], &sources = saved[2];
    const double temperature = ctx->saved_data.at("temperature").toDouble();
    const bool wants_weight = ctx->needs_input_grad(1);
    const at::Tensor rows = at::embedding(hidden, sources);
    at::Tensor grad_rows = at::empty_like(rows), grad_weight;
    if (wants_weight) grad_weight = at::zeros_like(weight);
    ForEachChunk(sources.size(0), weight.size(0), [&](int64_t begin, int64_t size) {
      const at::Tensor chunk = rows.narrow(0, begin, size);
      const at::Tensor grad = (grad_output[0].narrow(0, begin, size) / temperature).unsqueeze(1);
      at::Tensor slope = ChunkLogits(chunk, weight, temperature);
      slope.sub_(saved[4].narrow(0, begin, size).unsqueeze(1)).exp_().mul_(-grad);
      slope.scatter_add_(1, saved[3].narrow(0, begin, size).unsqueeze(1), grad);
      grad_rows.narrow(0, begin, size).copy_(at::mm(slope, weight));
      if (wants_weight) grad_weight.addmm_(slope.t(), chunk);
    });
    return {at::embedding_dense_backward(grad_rows, sources, hidden.size(0), -1, false),
            grad_weight,
            at::Tensor(),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

const at::Tensor& Policy::HeadWeight() const {
  return parameters_.at(config_.tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

at::Tensor Policy::LogProbs(const at::Tensor& hidden, const at::Tensor& sources,
                            const at::Tensor& targets, double temperature,
                            at::Tensor* entropy) const {
  if (entropy != nullptr) *entropy = at::empty({sources.size(0)}, hidden.options());
  return LogProbFunction::apply(hidden, HeadWeight(), sources, targets, temperature, entropy);
}

at::Tensor Policy::LogitsOf(const at::Tensor& hidden, const at::Tensor& sources,
                            const std::vector<int64_t>& token_ids) const {
  // `embedding` rather than index_select: its backward is the faster sum over rows.
  const at::Tensor ids = at::tensor(token_ids, sources.options());
  return at::linear(at::embedding(hidden, sources), at::embedding(HeadWeight(), ids));
}

}  // namespace flame
