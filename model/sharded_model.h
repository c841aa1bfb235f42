// A model as the owner of its parameters sees it, who may spread them over ranks.
#ifndef FLAME_MODEL_SHARDED_MODEL_H_
#define FLAME_MODEL_SHARDED_MODEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "model/named_tensors.h"

namespace flame {

class ParameterUnits;

class ShardedModel {
 public:
  virtual ~ShardedModel() = default;
  virtual at::Device device() const = 0;
  virtual const NamedTensors& parameters() const = 0;
  // Returns the unit of a parameter (model/parameter_units.h); -1 if it has none and is whole on
  // every rank.
  virtual int64_t UnitOf(const std::string& name) const = 0;
  // True for a unit that is one of many of equal size.
  virtual bool IsBlock(int64_t unit) const = 0;
  // Copies elements [begin, begin + out.numel()) of a flattened parameter, in memory or still in a
  // file, into `out`.
  virtual void CopyParameter(const std::string& name, int64_t begin,
                             const at::Tensor& out) const = 0;
  // Records that the caller has read the parameter's values: it no longer counts as stored.
  virtual void MarkRead(const std::string& name) = 0;
  // Reads all values that are still in files.
  virtual void ReadStored() = 0;
  // Makes every forward and backward from now on ask `units` for the parameters it needs; null:
  // detaches. `units` must outlive the model or be detached.
  virtual void AttachUnits(ParameterUnits* units) = 0;
};

}  // namespace flame

#endif  // FLAME_MODEL_SHARDED_MODEL_H_
