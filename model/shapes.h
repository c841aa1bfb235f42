// Names and shapes of a policy's parameters.
#ifndef FLAME_MODEL_SHAPES_H_
#define FLAME_MODEL_SHAPES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/architecture.h"
#include "model/entity_slots.h"

namespace flame {

using ShapeMap = std::map<std::string, std::vector<int64_t>>;

std::string LayerPrefix(int64_t layer);  // "model.layers.3."
inline constexpr char kQueryNormName[] = "self_attn.q_norm.weight";
inline constexpr char kKeyNormName[] = "self_attn.k_norm.weight";

// Returns the unit (model/parameter_units.h) of a parameter by its name; -1 for those of no unit.
int64_t UnitOfParameter(const std::string& name, const PolicyConfig& config);

// Returns [out, in] of each map in kMapNames.
std::vector<std::pair<int64_t, int64_t>> MapShapes(const PolicyConfig& config);

// Returns every weight of the base model; lm_head.weight only if it is not tied.
ShapeMap BaseShapes(const PolicyConfig& config);

// The adapters of `targets` ("q_proj", ...). Throws UsageError on an unknown target.
ShapeMap AdapterShapes(const PolicyConfig& config, const std::vector<std::string>& targets,
                       int64_t rank);

// Returns a kind's projector: "entities.KIND.0.weight" [hidden, dim_in] and so on; without collab.
ShapeMap ProjectorShapes(const PolicyConfig& config, const EntitySlots& slots);

// Map between a policy's dtypes and "float32", "float64", "bfloat16". Both throw UsageError on
// anything else.
at::ScalarType DtypeOf(const std::string& name);
std::string DtypeName(at::ScalarType dtype);

// Returns rotation angles [n, head_dim / 2] for float32 positions [n]: position * frequency
// (RopeScaling).
at::Tensor RotationAngles(const PolicyConfig& config, const at::Tensor& positions);

}  // namespace flame

#endif  // FLAME_MODEL_SHAPES_H_
