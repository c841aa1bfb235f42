// The unit to which an autograd node's weight belongs.
#ifndef FLAME_MODEL_WEIGHT_UNIT_H_
#define FLAME_MODEL_WEIGHT_UNIT_H_

#include <ATen/core/ivalue.h>

#include <cstdint>

#include "model/parameter_units.h"

namespace flame {

// `before` is the unit that the backward needs next.
struct WeightUnit : torch::CustomClassHolder {
  WeightUnit(ParameterUnits* units, int64_t unit, int64_t before)
      : units(units), unit(unit), before(before) {}
  ParameterUnits* units;
  int64_t unit, before;
};

}  // namespace flame

#endif  // FLAME_MODEL_WEIGHT_UNIT_H_
