// The unit that an autograd node's weight is of.
#ifndef FLAME_MODEL_WEIGHT_UNIT_H_
#define FLAME_MODEL_WEIGHT_UNIT_H_

#include <ATen/core/ivalue.h>

#include <cstdint>

#include "model/parameter_units.h"

namespace flame {

// `before`: the unit that the backward needs after it.
struct WeightUnit : torch::CustomClassHolder {
  WeightUnit(ParameterUnits* units, int64_t unit, int64_t before)
      : units(units), unit(unit), before(before) {}
  ParameterUnits* units;
  int64_t unit, before;
};

}  // namespace flame

#endif  // FLAME_MODEL_WEIGHT_UNIT_H_
