// The interface by which a policy whose parameters are spread over ranks tells their owner which
// parameters a forward or backward needs, when, and when it has finished with them.
#ifndef FLAME_MODEL_PARAMETER_UNITS_H_
#define FLAME_MODEL_PARAMETER_UNITS_H_

#include <cstdint>

namespace flame {

// Unit 0 is the embedding table and unit 1 + l the block of layer l. After the L blocks come the
// untied head and the final norm. Parameters without a unit (the entities' projectors) always have
// their values.
inline constexpr int64_t kEmbeddingUnit = 0;
inline int64_t BlockUnit(int64_t layer) { return 1 + layer; }
inline int64_t HeadUnit(int64_t num_layers) { return 1 + num_layers; }
inline int64_t NormUnit(int64_t num_layers) { return 2 + num_layers; }

class ParameterUnits {
 public:
  enum class Pass { kForward, kBackward };
  virtual ~ParameterUnits() = default;
  // Gives the unit's tensors their values until Release and, in backward, memory for their
  // gradients. `next` is the unit that will be acquired after this one; -1: unknown.
  virtual void Acquire(int64_t unit, Pass pass, int64_t next) = 0;
  virtual void Release(int64_t unit, Pass pass) = 0;
};

// Holds a unit for a scope; with null `units` all parameters have their values anyway.
class UnitUse {
 public:
  UnitUse(ParameterUnits* units, int64_t unit, ParameterUnits::Pass pass, int64_t next)
      : units_(units), unit_(unit), pass_(pass) {
    if (units_ != nullptr) units_->Acquire(unit_, pass_, next);
  }
  // Ends the use. Not called if an exception ends the scope: then nothing is gathered or reduced.
  void Done() {
    if (units_ != nullptr) units_->Release(unit_, pass_);
  }

 private:
  ParameterUnits* units_;
  int64_t unit_;
  ParameterUnits::Pass pass_;
};

}  // namespace flame

#endif  // FLAME_MODEL_PARAMETER_UNITS_H_
