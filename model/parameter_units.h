// Where a policy's parameters are while they are not used. A policy whose parameters are spread
// over ranks tells its owner which of them a forward or backward needs, when, and when it is done.
#ifndef FLAME_MODEL_PARAMETER_UNITS_H_
#define FLAME_MODEL_PARAMETER_UNITS_H_

#include <cstdint>

namespace flame {

// Unit 0 is the embedding table, 1 + l the block of layer l; behind the L blocks an untied head and
// the final norm. Parameters of no unit (entities' projectors) are always there.
inline constexpr int64_t kEmbeddingUnit = 0;
inline int64_t BlockUnit(int64_t layer) { return 1 + layer; }
inline int64_t HeadUnit(int64_t num_layers) { return 1 + num_layers; }
inline int64_t NormUnit(int64_t num_layers) { return 2 + num_layers; }

class ParameterUnits {
 public:
  enum class Pass { kForward, kBackward };
  virtual ~ParameterUnits() = default;
  // The unit's tensors hold their values from here until Release and, in backward, their gradients
  // have memory. `next` is the unit that will be asked for after it, -1 where none is known.
  virtual void Acquire(int64_t unit, Pass pass, int64_t next) = 0;
  virtual void Release(int64_t unit, Pass pass) = 0;
};

// Holds a unit for a scope; null: parameters are all there.
class UnitUse {
 public:
  UnitUse(ParameterUnits* units, int64_t unit, ParameterUnits::Pass pass, int64_t next)
      : units_(units), unit_(unit), pass_(pass) {
    if (units_ != nullptr) units_->Acquire(unit_, pass_, next);
  }
  // Ends the use; not called where an exception ended it: nothing is gathered or reduced then.
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
