// The parts of a policy: the hand-off between the policy and the files that hold one.
#ifndef FLAME_MODEL_POLICY_PARTS_H_
#define FLAME_MODEL_POLICY_PARTS_H_

#include <map>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/entity_slots.h"
#include "model/files/stored_rows.h"
#include "model/kernels/quantized_matrix.h"
#include "model/named_tensors.h"
#include "model/options.h"

namespace flame {

struct PolicyParts {
  PolicyConfig config;
  NamedTensors parameters;  // named as Policy says; those in `stored` have no values
  std::map<std::string, RowSource> stored;
  std::map<std::string, QuantizedMatrix> quantized;  // maps that are not among `parameters`
  // True if maps were quantised at first, even if none is after a merge.
  bool was_quantized = false;
  std::vector<EntitySlots> entities;
  LoraOptions lora;
  double lora_scale = 0;  // 0: no adapters
};

}  // namespace flame

#endif  // FLAME_MODEL_POLICY_PARTS_H_
