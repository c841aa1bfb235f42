// Computes input embeddings: rows of the table, and projected vectors of entity slots.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/policy.h"

namespace flame {
namespace {

constexpr char kTableName[] = "model.embed_tokens.weight";

int64_t End(const EntitySlots& slots) { return slots.first_token + slots.collab.size(0); }

// Returns the source of a token's row: 0 for the table, k + 1 for slot kind k.
size_t SourceOf(int64_t token, int64_t vocab_size, const std::vector<EntitySlots>& entities) {
  if (token >= 0 && token < vocab_size) return 0;
  for (size_t k = 0; k < entities.size(); ++k) {
    if (token >= entities[k].first_token && token < End(entities[k])) return k + 1;
  }
  throw UsageError("token id ", token, " is neither in the vocabulary (0 to ", vocab_size - 1,
                   ") nor an entity slot");
}

// The output row of a token that is input alone: that of bos, which no text continues with; 0
// without a bos.
at::Tensor SilentRow(const PolicyConfig& config, const RowSource& head,
                     const at::TensorOptions& options) {
  at::Tensor row = at::zeros({1, config.d_model}, options);
  if (config.bos_id >= 0) head(config.bos_id, row);
  return row;
}

}  // namespace

void CheckSlots(const EntitySlots& slots, const PolicyConfig& config,
                const std::vector<EntitySlots>& others) {
  if (!slots.collab.defined() || slots.collab.dim() != 2 || slots.hidden < 1) {
    throw UsageError("entity kind '", slots.kind, "': expected collab [count, dim] and hidden > 0");
  }
  if (slots.first_token < config.vocab_size) {
    throw UsageError("entity kind '", slots.kind, "' starts at token ", slots.first_token,
                     ", inside the vocabulary of ", config.vocab_size);
  }
  for (const EntitySlots& other : others) {
    if (other.kind == slots.kind ||
        (slots.first_token < End(other) && other.first_token < End(slots))) {
      throw UsageError("entity kinds '", other.kind, "' and '", slots.kind,
                       "' have the same name or overlapping slots");
    }
    if (other.borrowed || (slots.borrowed && slots.first_token < End(other))) {
      throw UsageError("entity kinds '", other.kind, "' and '", slots.kind,
                       "': borrowed slots do not lie behind all others");
    }
  }
}

at::Tensor Policy::Projected(const EntitySlots& slots, const at::Tensor& vectors) const {
  const auto weight = [&](const char* name) -> const at::Tensor& {
    return parts_.parameters.at("entities." + slots.kind + "." + name);
  };
  const at::Tensor middle = at::gelu(at::linear(vectors, weight("0.weight"), weight("0.bias")));
  return at::linear(middle, weight("2.weight"), weight("2.bias"));
}

at::Tensor Policy::Embed(const at::Tensor& tokens) const {
  const at::Tensor ids = tokens.contiguous();
  const auto* data = ids.const_data_ptr<int64_t>();
  // `rows[s]` lists the rows taken from source s; `places` gives each token's source and its index
  // in that list. Below, the sources' rows are concatenated.
  std::vector<std::vector<int64_t>> rows(parts_.entities.size() + 1);
  std::vector<std::pair<size_t, int64_t>> places;
  for (int64_t i = 0; i < ids.size(0); ++i) {
    const size_t source = SourceOf(data[i], parts_.config.vocab_size, parts_.entities);
    places.emplace_back(source, static_cast<int64_t>(rows[source].size()));
    rows[source].push_back(source == 0 ? data[i]
                                       : data[i] - parts_.entities[source - 1].first_token);
  }
  const at::Tensor& table = parts_.parameters.at(kTableName);
  if (rows[0].size() == places.size()) return at::embedding(table, ids.to(device()));

  std::vector<at::Tensor> parts;
  std::vector<int64_t> offsets;
  int64_t offset = 0;
  for (size_t s = 0; s < rows.size(); ++s) {
    offsets.push_back(offset);
    offset += static_cast<int64_t>(rows[s].size());
    if (rows[s].empty()) continue;
    const at::Tensor index = at::tensor(rows[s], at::kLong).to(device());
    if (s == 0) {
      parts.push_back(at::embedding(table, index));
      continue;
    }
    const EntitySlots& slots = parts_.entities[s - 1];
    // A corpus has many visits, and a batch few of them; codes and drugs recur.
    const at::Tensor rows_of_slots = slots.borrowed
                                         ? Projected(slots, slots.collab.index_select(0, index))
                                         : at::embedding(Projected(slots, slots.collab), index);
    parts.push_back(rows_of_slots.to(dtype()));
  }
  std::vector<int64_t> order;
  for (const auto& [source, row] : places) order.push_back(offsets[source] + row);
  return at::embedding(at::cat(parts), at::tensor(order, at::kLong).to(device()));
}

Policy Policy::MaterializeEntities() const {
  const at::NoGradGuard no_grad;
  Policy result = *this;
  std::erase_if(result.parts_.entities, [](const EntitySlots& kind) { return !kind.borrowed; });
  int64_t vocab_size = parts_.config.vocab_size;
  for (const EntitySlots& slots : parts_.entities) {
    if (slots.borrowed) continue;
    vocab_size = std::max(vocab_size, End(slots));
    std::erase_if(result.parts_.parameters, [&](const auto& entry) {
      return entry.first.starts_with("entities." + slots.kind + ".");
    });
  }
  if (vocab_size == parts_.config.vocab_size) return result;

  const auto options = HeadWeight().options().requires_grad(false);
  const RowSource table = RowsOf(kTableName);
  const RowSource head = RowsOf(parts_.config.tie_embeddings ? kTableName : "lm_head.weight");
  const at::Tensor nothing = at::zeros({parts_.config.d_model}, options);
  std::vector<Patch> slots;
  for (const EntitySlots& kind : parts_.entities) {
    if (!kind.borrowed) slots.push_back({kind.first_token, Projected(kind, kind.collab)});
  }
  const std::vector<int64_t> shape = {vocab_size, parts_.config.d_model};
  result.Store(kTableName, shape, options,
               ExtendedRows(table, parts_.config.vocab_size, nothing, std::move(slots)));
  result.Store(
      "lm_head.weight", shape, options,
      ExtendedRows(head, parts_.config.vocab_size, SilentRow(parts_.config, head, options)[0], {}));
  result.parts_.config.vocab_size = vocab_size;
  result.parts_.config.tie_embeddings = false;
  if (parts_.stored.empty()) result.ReadStored();
  return result;
}

void Policy::SilenceTokens(const std::vector<int32_t>& ids) {
  if (ids.empty()) return;
  const at::NoGradGuard no_grad;
  const bool was_read = parts_.stored.empty();
  const std::string source = parts_.config.tie_embeddings ? kTableName : "lm_head.weight";
  const std::vector<int64_t> shape = {parts_.config.vocab_size, parts_.config.d_model};
  const RowSource head = RowsOf(source);
  const at::Tensor silent =
      SilentRow(parts_.config, head, HeadWeight().options().requires_grad(false));
  std::vector<Patch> patches;
  for (const int32_t id : ids) patches.push_back({id, silent});
  Store("lm_head.weight", shape, silent.options(),
        ExtendedRows(head, shape[0], silent[0], patches));
  parts_.config.tie_embeddings = false;
  if (was_read) ReadStored();
}

}  // namespace flame
