// Tokens of the vocabulary that represent entities by a vector.
#ifndef FLAME_MODEL_ENTITY_SLOTS_H_
#define FLAME_MODEL_ENTITY_SLOTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/architecture.h"

namespace flame {

// The slots of one entity kind. Token first_token + i stands for projector(collab[i]); the
// projector is a two-layer MLP, Linear -> GELU -> Linear (docs/method.md, eq. 16).
struct EntitySlots {
  std::string kind;         // "drug", "diagnosis", "procedure", "visit"
  int64_t first_token = 0;  // >= PolicyConfig::vocab_size; kinds do not overlap
  at::Tensor collab;        // [count, dim_in], frozen
  int64_t hidden = 0;       // width of the projector's middle layer
  // True: the vectors belong to a corpus and not to the policy. Files keep the projector alone, and
  // Policy::SetCollab gives as many vectors as the corpus has entities. The slots never become rows
  // of the embedding table. A borrowed kind lies behind all others.
  bool borrowed = false;
};

// Throws UsageError if `slots` lie inside the vocabulary, overlap or share their name with
// `others`, or lack collab or hidden.
void CheckSlots(const EntitySlots& slots, const PolicyConfig& config,
                const std::vector<EntitySlots>& others);

}  // namespace flame

#endif  // FLAME_MODEL_ENTITY_SLOTS_H_
