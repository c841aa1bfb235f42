#include "model/policy.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "model/block.h"
#include "model/kernels/quantized.h"
#include "model/shapes.h"
#include "model/weight_unit.h"

namespace flame {

BlockParameters Policy::LayerParameters(int64_t layer, bool adapters) const {
  const std::string prefix = LayerPrefix(layer);
  BlockParameters block;
  block.attention_norm = parts_.parameters.at(prefix + "input_layernorm.weight");
  block.ffn_norm = parts_.parameters.at(prefix + "post_attention_layernorm.weight");
  if (parts_.config.qk_norm) {
    block.query_norm = parts_.parameters.at(prefix + kQueryNormName);
    block.key_norm = parts_.parameters.at(prefix + kKeyNormName);
  }
  for (size_t m = 0; m < kNumMaps; ++m) {
    const std::string name = prefix + kMapNames[m];
    const auto quantized = parts_.quantized.find(name + ".weight");
    if (quantized != parts_.quantized.end()) {
      block.maps[m].quantized = quantized->second;
    } else {
      block.maps[m].weight = parts_.parameters.at(name + ".weight");
    }
    const auto bias = parts_.parameters.find(name + ".bias");
    if (bias != parts_.parameters.end()) block.maps[m].bias = bias->second;
    const auto lora_a = parts_.parameters.find(name + ".lora_A.weight");
    if (!adapters || lora_a == parts_.parameters.end()) continue;
    block.maps[m].lora_a = lora_a->second;
    block.maps[m].lora_b = parts_.parameters.at(name + ".lora_B.weight");
  }
  return block;
}

std::shared_ptr<BlockContext> Policy::MakeContext(const FamilyBatch& batch,
                                                  const ForwardOptions& options) const {
  auto context = std::make_shared<BlockContext>();
  CheckRead();
  context->families = batch.families;
  context->asked = batch.asked;
  context->asked_rows = batch.asked_rows.to(device());
  context->num_layers = parts_.config.num_layers;
  context->head_dim = parts_.config.head_dim;
  context->rms_eps = parts_.config.rms_eps;
  context->lora_scale = parts_.lora_scale;
  context->dropout = parts_.lora.dropout;
  context->dropout_seed = options.dropout_seed;
  if (context->dropping()) {
    context->mask_rows = batch.mask_rows.to(device());
    context->asked_mask_rows = batch.mask_rows.index_select(0, batch.asked_rows).to(device());
  }
  context->recompute = options.recompute;
  context->units = units_;
  int64_t length = 0;
  for (const FamilyLayout& family : batch.families) {
    length = std::max(length, family.trunk.size);
    for (const Span& branch : family.branches) {
      length = std::max(length, family.trunk.size + branch.size);
    }
  }
  if (length > parts_.config.max_positions) {
    throw UsageError("a sequence has ", length, " tokens; the model's max_position_embeddings is ",
                     parts_.config.max_positions);
  }
  // The angles are float32, as in transformers, whatever the weights' dtype.
  const at::Tensor angles = RotationAngles(parts_.config, at::arange(length, at::kFloat));
  const auto wide = at::toOpMathType(dtype());
  context->cosine = at::embedding(angles.cos().to(wide), batch.positions).to(device());
  context->sine = at::embedding(angles.sin().to(wide), batch.positions).to(device());
  return context;
}

at::Tensor Policy::Hidden(const FamilyBatch& batch, const ForwardOptions& options) const {
  const std::shared_ptr<const BlockContext> context = MakeContext(batch, options);
  UnitUse embedding(units_, kEmbeddingUnit, ParameterUnits::Pass::kForward, BlockUnit(0));
  at::Tensor x = Embed(batch.tokens);
  embedding.Done();
  for (int64_t layer = 0; layer < parts_.config.num_layers; ++layer) {
    x = Block(LayerParameters(layer, options.adapters), x, layer, context);
  }
  return Norm(x, parts_.parameters.at("model.norm.weight"), parts_.config.rms_eps,
              c10::make_intrusive<WeightUnit>(units_, NormUnit(parts_.config.num_layers),
                                              BlockUnit(parts_.config.num_layers - 1)));
}

NamedTensors Policy::SelectTrainable(const std::string& which) {
  if (which != "full" && which != "lora" && which != "adapters") {
    throw UsageError("trainable is '", which, "'; expected full, lora or adapters");
  }
  if (which != "full" && !has_adapters()) {
    throw UsageError("trainable is '", which, "', but the policy has no adapters");
  }
  if (which == "full" && (dtype() == at::kBFloat16 || !parts_.quantized.empty())) {
    throw UsageError("trainable is 'full', but the weights are ",
                     parts_.quantized.empty() ? "bfloat16" : "quantised",
                     "; expected lora, or a model.dtype of float32 with model.quantize none");
  }
  NamedTensors trainable;
  for (auto& [name, tensor] : parts_.parameters) {
    const bool is_adapter = name.find(".lora_") != std::string::npos;
    const bool is_entity = name.starts_with("entities.");
    const bool chosen = !name.ends_with(".collab") &&
                        (which == "full" || is_adapter || (which == "lora" && is_entity));
    tensor.set_requires_grad(chosen);
    if (chosen) trainable.emplace(name, tensor);
  }
  return trainable;
}

void Policy::EndWith(int32_t id) {
  if (id < 0) return;
  std::erase(parts_.config.end_ids, id);
  parts_.config.end_ids.insert(parts_.config.end_ids.begin(), id);
}

void Policy::TakeAdapters(const LoraOptions& options, NamedTensors adapters) {
  if (has_adapters()) throw UsageError("the policy has adapters already: merge or drop them first");
  for (auto& [name, tensor] : adapters) tensor = tensor.to(device());
  parts_.parameters.merge(adapters);
  parts_.lora = options;
  parts_.lora_scale = options.alpha / static_cast<double>(options.rank);
}

void Policy::MoveTo(at::Device device) {
  for (auto& [name, tensor] : parts_.parameters) {
    tensor = parts_.stored.contains(name) ? Hollow(tensor.sizes(), tensor.options().device(device))
                                          : tensor.detach().to(device);
  }
  for (auto& [name, matrix] : parts_.quantized) matrix.MoveTo(device);
  for (EntitySlots& kind : parts_.entities) {
    kind.collab = kind.borrowed ? kind.collab.to(device)
                                : parts_.parameters.at("entities." + kind.kind + ".collab");
  }
}

at::ScalarType Policy::TrainableDtype() const { return at::toOpMathType(dtype()); }

void Policy::QuantizeMaps(Quantization quantization) {
  if (quantization == Quantization::kNone) return;
  ReadStored();
  parts_.was_quantized = true;
  for (int64_t layer = 0; layer < parts_.config.num_layers; ++layer) {
    for (const char* map : kMapNames) {
      const std::string name = LayerPrefix(layer) + map + ".weight";
      const auto weight = parts_.parameters.find(name);
      if (weight == parts_.parameters.end()) continue;  // already quantised
      if (weight->second.requires_grad()) {
        throw UsageError(name, " is trainable; only frozen weights are quantised");
      }
      parts_.quantized[name] = Quantize(weight->second, quantization);
      parts_.parameters.erase(weight);
    }
  }
}

void Policy::MergeAdapters() {
  const bool was_read = parts_.stored.empty();
  for (int64_t layer = 0; layer < parts_.config.num_layers; ++layer) {
    const BlockParameters block = LayerParameters(layer, /*adapters=*/true);
    for (size_t m = 0; m < kNumMaps; ++m) {
      const LinearMap& map = block.maps[m];
      if (!map.lora_a.defined()) continue;
      const std::string name = LayerPrefix(layer) + kMapNames[m] + ".weight";
      // Stores a new tensor, because copies of this policy share the old one.
      Store(name, {map.lora_b.size(0), map.lora_a.size(1)}, HeadWeight().options(),
            MergedRows(RowsOf(name), map.weight.defined() ? dtype() : TrainableDtype(), map.lora_a,
                       map.lora_b, parts_.lora_scale));
      parts_.quantized.erase(name);
    }
  }
  std::erase_if(parts_.parameters,
                [](const auto& entry) { return entry.first.find(".lora_") != std::string::npos; });
  parts_.lora_scale = 0;
  if (was_read) ReadStored();
}

void Policy::Store(const std::string& name, at::IntArrayRef shape, const at::TensorOptions& options,
                   RowSource rows) {
  parts_.parameters[name] = Hollow(shape, options);
  parts_.stored[name] = std::move(rows);
}

RowSource Policy::RowsOf(const std::string& name) const {
  if (const auto stored = parts_.stored.find(name); stored != parts_.stored.end())
    return stored->second;
  if (const auto quantized = parts_.quantized.find(name); quantized != parts_.quantized.end()) {
    return RowsOfQuantized(quantized->second, TrainableDtype());
  }
  return RowsOfTensor(parts_.parameters.at(name));
}

void Policy::CopyParameter(const std::string& name, int64_t begin, const at::Tensor& out) const {
  const at::Tensor& parameter = parts_.parameters.at(name);
  CopyElements(RowsOf(name), parameter.numel() / parameter.size(0), begin, out);
}

int64_t Policy::UnitOf(const std::string& name) const { return UnitOfParameter(name, config()); }

bool Policy::IsBlock(int64_t unit) const {
  return unit >= BlockUnit(0) && unit < BlockUnit(config().num_layers);
}

void Policy::ReadStored() {
  const at::NoGradGuard no_grad;
  for (const auto& [name, rows] : parts_.stored) {
    at::Tensor parameter = parts_.parameters.at(name);
    const at::Tensor values = at::empty(parameter.sizes(), parameter.options());
    CopyParameter(name, 0, values.flatten());
    parameter.set_data(values);
  }
  parts_.stored.clear();
}

void Policy::CheckRead() const {
  if (units_ != nullptr || parts_.stored.empty()) return;
  throw std::logic_error("the policy was opened and not read: call ReadStored");
}

}  // namespace flame
