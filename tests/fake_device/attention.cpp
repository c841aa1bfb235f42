// CUDA's attention over many sequences in one call, as ATen declares it, in dense form.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <tuple>

namespace flame {
namespace {

void Require(bool right, const char* what) {
  if (!right) throw std::logic_error(std::string("attention of the fake device: ") + what);
}

// Returns the heads [H, n, D] of n rows of x [T, H or fewer, D], in double.
at::Tensor Heads(const at::Tensor& x, int64_t begin, int64_t size, int64_t heads) {
  return x.narrow(0, begin, size)
      .to(at::kDouble)
      .repeat_interleave(heads / x.size(1), 1)
      .transpose(0, 1);
}

struct Sequence {
  int64_t q, nq, k, nk;  // first rows and numbers of rows
};

std::vector<Sequence> Sequences(const at::Tensor& q, const at::Tensor& k, int64_t longest_q,
                                int64_t longest_k) {
  Require(q.scalar_type() == at::kInt && k.scalar_type() == at::kInt, "offsets are int32");
  std::vector<Sequence> sequences;
  for (int64_t i = 0; i + 1 < q.size(0); ++i) {
    const int64_t a = q[i].item<int32_t>(), b = k[i].item<int32_t>();
    sequences.push_back({a, q[i + 1].item<int32_t>() - a, b, k[i + 1].item<int32_t>() - b});
    Require(sequences.back().nq <= longest_q && sequences.back().nk <= longest_k, "longest");
  }
  return sequences;
}

// Returns scores [H, nq, nk].
at::Tensor Scores(const at::Tensor& query, const at::Tensor& key, const Sequence& s, bool causal) {
  const int64_t heads = query.size(1);
  at::Tensor scores =
      at::matmul(Heads(query, s.q, s.nq, heads), Heads(key, s.k, s.nk, heads).transpose(1, 2)) /
      std::sqrt(static_cast<double>(query.size(2)));
  if (!causal) return scores;
  const at::Tensor seen = at::ones({s.nq, s.nk}, at::kBool).tril();
  return scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
}

struct Dense {
  at::Tensor out, lse;  // [T, H, D] in the query's type; [H, T] double
};

Dense Forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
              const std::vector<Sequence>& sequences, bool causal) {
  const int64_t heads = query.size(1);
  Dense dense = {at::zeros_like(query), at::zeros({heads, query.size(0)}, at::kDouble)};
  for (const Sequence& s : sequences) {
    const at::Tensor scores = Scores(query, key, s, causal), lse = scores.logsumexp(2);
    dense.lse.narrow(1, s.q, s.nq).copy_(lse);
    dense.out.narrow(0, s.q, s.nq)
        .copy_(at::matmul((scores - lse.unsqueeze(2)).exp(), Heads(value, s.k, s.nk, heads))
                   .transpose(0, 1));
  }
  return dense;
}

using Three = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

// `lse` is [H, T].
Three Backward(const at::Tensor& grad, const at::Tensor& query, const at::Tensor& key,
               const at::Tensor& value, const at::Tensor& out, const at::Tensor& lse,
               const std::vector<Sequence>& sequences, bool causal) {
  const int64_t heads = query.size(1);
  const auto zeros = [](const at::Tensor& x) { return at::zeros_like(x, at::kDouble); };
  at::Tensor grad_query = zeros(query), grad_key = zeros(key), grad_value = zeros(value);
  const double scale = 1 / std::sqrt(static_cast<double>(query.size(2)));
  const auto add = [&](const at::Tensor& by_head, int64_t begin, at::Tensor* sum) {
    sum->narrow(0, begin, by_head.size(1))
        .add_(by_head.transpose(0, 1).unflatten(1, {sum->size(1), -1}).sum(2));
  };
  for (const Sequence& s : sequences) {
    const at::Tensor weights =
        (Scores(query, key, s, causal) - lse.narrow(1, s.q, s.nq).to(at::kDouble).unsqueeze(2))
            .exp();
    const at::Tensor g = Heads(grad, s.q, s.nq, heads);
    const at::Tensor delta = (g * Heads(out, s.q, s.nq, heads)).sum(2, true);
    const at::Tensor slope =
        weights * (at::matmul(g, Heads(value, s.k, s.nk, heads).transpose(1, 2)) - delta) * scale;
    add(at::matmul(slope, Heads(key, s.k, s.nk, heads)), s.q, &grad_query);
    add(at::matmul(slope.transpose(1, 2), Heads(query, s.q, s.nq, heads)), s.k, &grad_key);
    add(at::matmul(weights.transpose(1, 2), g), s.k, &grad_value);
  }
  return {grad_query.to(query.scalar_type()), grad_key.to(key.scalar_type()),
          grad_value.to(value.scalar_type())};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> FlashForward(
    const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
    const std::optional<at::Tensor>& offsets_q, const std::optional<at::Tensor>& offsets_k,
    int64_t longest_q, int64_t longest_k, double dropout, bool causal, bool, std::optional<double>,
    std::optional<int64_t>, std::optional<int64_t>, const std::optional<at::Tensor>&,
    const std::optional<at::Tensor>&) {
  Require(query.scalar_type() == at::kBFloat16, "flash takes bfloat16");
  Require(dropout == 0, "no dropout");
  const at::Device device = query.device();
  const auto sequences = Sequences(offsets_q->cpu(), offsets_k->cpu(), longest_q, longest_k);
  const Dense dense = Forward(query.cpu(), key.cpu(), value.cpu(), sequences, causal);
  const at::Tensor none = at::zeros({2}, at::kUInt64).to(device);
  return {dense.out.to(device), dense.lse.to(at::kFloat).to(device), none, none, none};
}

Three FlashBackward(const at::Tensor& grad, const at::Tensor& query, const at::Tensor& key,
                    const at::Tensor& value, const at::Tensor& out, const at::Tensor& lse,
                    const at::Tensor& offsets_q, const at::Tensor& offsets_k, int64_t longest_q,
                    int64_t longest_k, double dropout, bool causal, const at::Tensor&,
                    const at::Tensor&, std::optional<double>, std::optional<int64_t>,
                    std::optional<int64_t>) {
  Require(lse.sizes() == at::IntArrayRef({query.size(1), query.size(0)}), "log-sum-exp [H, T]");
  Require(lse.is_contiguous() && grad.stride(2) == 1, "memory layout");
  const at::Device device = query.device();
  const auto sequences = Sequences(offsets_q.cpu(), offsets_k.cpu(), longest_q, longest_k);
  const auto [a, b, c] = Backward(grad.cpu(), query.cpu(), key.cpu(), value.cpu(), out.cpu(),
                                  lse.cpu(), sequences, causal);
  return {a.to(device), b.to(device), c.to(device)};
}

// Returns [S, H, length] with a length that is a multiple of 32.
at::Tensor Padded(const at::Tensor& lse, const std::vector<Sequence>& sequences, int64_t longest) {
  const auto count = static_cast<int64_t>(sequences.size());
  at::Tensor padded = at::full({count, lse.size(0), (longest + 31) / 32 * 32},
                               std::numeric_limits<float>::infinity(), at::kFloat);
  for (int64_t i = 0; i < count; ++i) {
    padded[i].narrow(1, 0, sequences[i].nq).copy_(lse.narrow(1, sequences[i].q, sequences[i].nq));
  }
  return padded;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt>
EfficientForward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                 const std::optional<at::Tensor>&, const std::optional<at::Tensor>& offsets_q,
                 const std::optional<at::Tensor>& offsets_k, std::optional<int64_t> longest_q,
                 std::optional<int64_t> longest_k, double dropout, int64_t mask, bool with_lse,
                 std::optional<double>, const std::optional<at::Tensor>&, std::optional<int64_t>) {
  Require(query.size(0) == 1 && query.size(2) == key.size(2), "[1, T, H, D], heads alike");
  Require(dropout == 0 && with_lse && mask <= 1, "arguments");
  const at::Device device = query.device();
  const auto sequences = Sequences(offsets_q->cpu(), offsets_k->cpu(), *longest_q, *longest_k);
  const Dense dense = Forward(query.cpu()[0], key.cpu()[0], value.cpu()[0], sequences, mask == 1);
  const at::Tensor none = at::zeros({}, at::kLong).to(device);
  return {dense.out.unsqueeze(0).to(device),
          Padded(dense.lse, sequences, *longest_q).to(device),
          none,
          none,
          *longest_q,
          *longest_k};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> EfficientBackward(
    const at::Tensor& grad, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
    const std::optional<at::Tensor>&, const at::Tensor& out,
    const std::optional<at::Tensor>& offsets_q, const std::optional<at::Tensor>& offsets_k,
    int64_t longest_q, int64_t longest_k, const at::Tensor& padded, double, const at::Tensor&,
    const at::Tensor&, int64_t mask, bool, std::optional<double>, std::optional<int64_t>,
    std::optional<int64_t>, bool) {
  const at::Device device = query.device();
  const auto sequences = Sequences(offsets_q->cpu(), offsets_k->cpu(), longest_q, longest_k);
  Require(padded.size(2) % 32 == 0 && padded.size(2) >= longest_q, "padded log-sum-exp");
  at::Tensor lse = at::zeros({query.size(2), query.size(1)}, at::kDouble);
  const at::Tensor sums = padded.cpu();
  for (size_t i = 0; i < sequences.size(); ++i) {
    lse.narrow(1, sequences[i].q, sequences[i].nq)
        .copy_(sums[static_cast<int64_t>(i)].narrow(1, 0, sequences[i].nq));
  }
  const auto [a, b, c] = Backward(grad.cpu()[0], query.cpu()[0], key.cpu()[0], value.cpu()[0],
                                  out.cpu()[0], lse, sequences, mask == 1);
  return {a.unsqueeze(0).to(device), b.unsqueeze(0).to(device), c.unsqueeze(0).to(device),
          at::Tensor()};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("_flash_attention_forward", &FlashForward);
  m.impl("_flash_attention_backward", &FlashBackward);
  m.impl("_efficient_attention_forward", &EfficientForward);
  m.impl("_efficient_attention_backward", &EfficientBackward);
}

}  // namespace
}  // namespace flame
