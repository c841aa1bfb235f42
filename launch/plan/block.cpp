// The memory of a block, statement by statement as in model/block.cpp and
// model/kernels/attention.cpp. Numbers per token row: d = d_model, h = heads * head_dim,
// k = kv_heads * head_dim, f = d_ff. T rows are packed, and Q of them are asked for; Q = T in all
// blocks but the last.
#include "model/block.h"

#include <algorithm>

#include "launch/plan/memory.h"
#include "model/shapes.h"

namespace flame {
namespace {

struct Widths {
  explicit Widths(const PolicyConfig& c)
      : d(c.d_model), h(c.num_heads * c.head_dim), k(c.num_kv_heads * c.head_dim), f(c.d_ff) {}
  int64_t d, h, k, f;
};

// Returns the bytes of a quantised map's dense weight, which is made anew at every use. The largest
// map is an FFN's.
int64_t DenseMap(const PlannedModel& model) {
  return model.quantization == Quantization::kNone
             ? 0
             : model.config.d_ff * model.config.d_model * model.item_bytes;
}

bool Adapted(const PlannedModel& model, const char* target) {
  const auto& targets = model.lora.targets;
  return model.has_adapters && std::find(targets.begin(), targets.end(), target) != targets.end();
}

// Returns the bytes of the flash kernel's output for a family and of its copy in packed order.
int64_t FlashForward(const PlannedModel& model, const PassShape& pass) {
  const Widths w(model.config);
  return 2 * std::min(pass.family_queries, pass.tokens) * w.h * model.item_bytes;
}

}  // namespace

Ledger::Held WalkBlockForward(const PlannedModel& model, const PassShape& pass, bool last,
                              bool keep, bool dropout, Ledger* ledger) {
  const int64_t t = pass.tokens, q = last ? pass.asked : t, b = model.item_bytes;
  const Widths w(model.config);
  Ledger::Held tape =
      ledger->Take(Part::kActivations, TapeBytes(model.config, t, q, b, model.wide_bytes()));
  // Gate and up do not exist yet while attention runs. Attention's own temporaries are smaller than
  // gate and up in every known model.
  ledger->Add(Part::kActivations, -2 * q * w.f * b);
  if (!last) ledger->Touch(Part::kActivations, FlashForward(model, pass));
  ledger->Add(Part::kActivations, 2 * q * w.f * b);
  // The down map holds silu(gate) * up, its output, and a copy with dropout for the adapter.
  int64_t moment = q * w.f * b + DenseMap(model);
  if (Adapted(model, "down_proj") && dropout) moment += q * w.f * b;
  ledger->Touch(Part::kActivations, moment + q * w.d * b);
  if (keep) return tape;
  return {};
}

void WalkBlockBackward(const PlannedModel& model, const PassShape& pass, bool last, bool dropout,
                       int64_t gradient_bytes, Ledger* ledger) {
  const int64_t t = pass.tokens, q = last ? pass.asked : t, b = model.item_bytes;
  const int64_t wide = model.wide_bytes();
  const Widths w(model.config);
  const PolicyConfig& c = model.config;
  const auto take = [&](int64_t numbers) { return ledger->Take(Part::kActivations, numbers * b); };
  const auto touch = [&](int64_t numbers) { ledger->Touch(Part::kActivations, numbers * b); };
  const auto dense = ledger->Take(Part::kActivations, DenseMap(model));
  // Gradients of a fully trained block are made beside the gradients that they are added to.
  const auto grads = ledger->Take(Part::kGradients, gradient_bytes);
  auto grad_product = take(q * w.f);
  if (Adapted(model, "down_proj") && dropout) touch(2 * q * w.f);
  auto product = take(q * w.f);
  if (Adapted(model, "down_proj") && dropout) touch(q * w.f);
  auto grad_ffn_in = take(q * w.d);
  if (dropout) touch(2 * q * w.d);
  auto grad_middle = take(q * w.d);
  // The FFN's widest tensors are no longer needed.
  grad_product.Free(), product.Free();
  ledger->Add(Part::kActivations, -2 * q * w.f * b);
  auto grad_attended = take(q * w.h);
  {
    auto of_heads = take(q * w.h + 2 * t * w.k);
    // For one family: the kernel's gradients of queries and of keys and values repeated for every
    // query head, the packed copy, and the sums over the heads that share a key. Below float32,
    // attention's inputs and outputs also exist in float32.
    const int64_t n = last ? std::min(pass.family_queries, q) : pass.family_queries;
    const int64_t trunk = pass.family_trunk;
    int64_t flash = (2 * n * w.h + 2 * trunk * w.h + 2 * trunk * w.k) * wide;
    if (b < wide) flash += (4 * q * w.h + 4 * t * w.k) * wide;
    ledger->Touch(Part::kActivations, flash);
    if (c.qk_norm) touch(2 * (q * w.h + t * w.k));
    auto grad_query_in = take(q * w.d);
    if (dropout) touch(2 * t * w.d);
    auto grad_attention_in = take(last ? t * w.d : 0);
    touch(t * w.d + (last ? t * w.d : 0));
  }
  ledger->Add(Part::kActivations, 2 * q * w.f * b);
}

}  // namespace flame
