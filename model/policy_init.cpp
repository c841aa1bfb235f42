// Random starts: draws weights, adapters and projectors from counter-based numbers.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "model/policy.h"
#include "model/shapes.h"

namespace flame {
namespace {

// Returns the 32-bit FNV-1a hash: a tensor's numbers depend on its name, not on its position among
// the others.
uint32_t NameHash(const std::string& name) {
  uint32_t hash = 2166136261u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

// Returns a tensor filled in row-major order with what `draw` returns, computed in double.
template <class Draw>
at::Tensor Fill(const std::vector<int64_t>& shape, at::ScalarType dtype, const Draw& draw) {
  at::Tensor values = at::empty(shape, at::kDouble);
  auto* data = values.mutable_data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = draw();
  return values.to(dtype);
}

at::Tensor DrawNormal(const std::string& name, const std::vector<int64_t>& shape,
                      at::ScalarType dtype, uint64_t seed, double deviation) {
  RandomStream stream(seed, kInit, NameHash(name));
  return Fill(shape, dtype, [&] { return deviation * stream.Normal(); });
}

// Draws from [-bound, bound).
at::Tensor DrawUniform(const std::string& name, const std::vector<int64_t>& shape,
                       at::ScalarType dtype, uint64_t seed, double bound) {
  RandomStream stream(seed, kInit, NameHash(name));
  return Fill(shape, dtype, [&] { return bound * (2 * stream.Uniform() - 1); });
}

// Returns 1 / sqrt(fan-in) (LeCun et al. 1998), so that attention scores are of size 1 from the
// first step at any width. (A fixed 0.02 suits d_model 2,500; at 128 attention would start uniform
// and learn late.) Maps that add to the residual stream are scaled by 1 / sqrt(2 layers) (Radford
// et al. 2019).
double Deviation(const PolicyConfig& config, const std::string& name, int64_t fan_in) {
  const bool adds = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
  const double share = adds ? 2.0 * static_cast<double>(config.num_layers) : 1.0;
  return 1 / std::sqrt(static_cast<double>(fan_in) * share);
}

// Queries that equal their keys are drawn smaller. The larger they are, the more a token attends to
// itself, for no token resembles it more (docs/training.md, rows 18, 19 and 23).
constexpr double kAlignedScale = 0.7;

// Makes the keys of each group of heads begin as its first head's queries, so that a token first
// attends to the tokens that resemble it. Equal names in a prompt then find each other from the
// first step on, which takes thousands of steps to learn otherwise (mimetic initialization,
// Trockman & Kolter 2023, arXiv 2305.09828; docs/training.md has what it gives).
void AlignKeys(const PolicyConfig& config, int64_t layer, NamedTensors* parameters) {
  const std::string prefix = LayerPrefix(layer) + "self_attn.";
  const at::Tensor& queries = parameters->at(prefix + "q_proj.weight");
  at::Tensor& keys = parameters->at(prefix + "k_proj.weight");
  const int64_t group = config.num_heads / config.num_kv_heads, dim = config.head_dim;
  for (int64_t h = 0; h < config.num_kv_heads; ++h) {
    const at::Tensor first = queries.narrow(0, h * group * dim, dim);
    at::Tensor(first).mul_(kAlignedScale);
    keys.narrow(0, h * dim, dim).copy_(first);
  }
}

}  // namespace

Policy Policy::Random(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed) {
  DtypeName(dtype);  // throws if no policy has this dtype
  PolicyParts parts;
  parts.config = config;
  for (const auto& [name, shape] : BaseShapes(config)) {
    if (shape.size() == 1) {
      parts.parameters[name] =
          name.ends_with(".bias") ? at::zeros(shape, dtype) : at::ones(shape, dtype);
    } else {
      parts.parameters[name] =
          DrawNormal(name, shape, dtype, seed, Deviation(config, name, shape[1]));
    }
  }
  for (int64_t layer = 0; layer < config.num_layers; ++layer)
    AlignKeys(config, layer, &parts.parameters);
  return Policy(std::move(parts));
}

void Policy::AddAdapters(const LoraOptions& options, uint64_t seed) {
  const auto dtype = TrainableDtype();
  NamedTensors adapters;
  for (const auto& [name, shape] : AdapterShapes(config(), options.targets, options.rank)) {
    adapters[name] =
        name.ends_with("lora_B.weight")
            ? at::zeros(shape, dtype)
            : DrawUniform(name, shape, dtype, seed, 1 / std::sqrt(static_cast<double>(shape[1])));
  }
  TakeAdapters(options, std::move(adapters));
}

void Policy::AddEntities(const std::vector<EntitySlots>& slots, uint64_t seed) {
  const auto dtype = TrainableDtype();
  for (EntitySlots entry : slots) {
    CheckSlots(entry, parts_.config, parts_.entities);
    entry.collab = entry.collab.to(device(), dtype).contiguous();
    if (!entry.borrowed) parts_.parameters["entities." + entry.kind + ".collab"] = entry.collab;
    for (const auto& [name, shape] : ProjectorShapes(parts_.config, entry)) {
      const int64_t fan_in =
          name.find(".0.") != std::string::npos ? entry.collab.size(1) : entry.hidden;
      parts_.parameters[name] =
          DrawUniform(name, shape, dtype, seed, 1 / std::sqrt(static_cast<double>(fan_in)))
              .to(device());
    }
    parts_.entities.push_back(std::move(entry));
  }
}

void Policy::SetCollab(const std::string& kind, const at::Tensor& vectors) {
  for (EntitySlots& slots : parts_.entities) {
    if (slots.kind != kind) continue;
    const int64_t count = slots.borrowed ? vectors.size(0) : slots.collab.size(0);
    if (vectors.sizes() != at::IntArrayRef({count, slots.collab.size(1)})) {
      throw UsageError("entity kind '", kind, "': ", vectors.size(0), " vectors of width ",
                       vectors.size(1), "; expected ", count, " of width ", slots.collab.size(1));
    }
    slots.collab = vectors.to(slots.collab.options().requires_grad(false)).contiguous();
    if (slots.borrowed) return;
    const std::string name = "entities." + kind + ".collab";
    parts_.parameters[name] = slots.collab;
    MarkRead(name);
    return;
  }
  throw UsageError("the policy has no slots of entity kind '", kind, "'");
}

void Policy::DropBorrowed() {
  for (EntitySlots& slots : parts_.entities) {
    if (!slots.borrowed) continue;
    slots.borrowed = false;
    slots.collab = at::zeros({1, slots.collab.size(1)}, slots.collab.options());
    parts_.parameters["entities." + slots.kind + ".collab"] = slots.collab;
  }
}

}  // namespace flame
