// Recording the device work of a decoding step, to launch it again as a whole: a CUDA graph where
// libflame_cuda.so is open.
#ifndef FLAME_MODEL_KERNELS_STEP_RECORDER_H_
#define FLAME_MODEL_KERNELS_STEP_RECORDER_H_

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace flame {

class StepRecorder {
 public:
  virtual ~StepRecorder() = default;
  // Runs `body` and remembers what it asked of the device. `body` may be run several times: running
  // it again without new inputs changes nothing. It asks the host for nothing and allocates only
  // what it gives back.
  virtual void Record(const std::function<void()>& body) = 0;
  // The same work on the same memory, whose contents may have changed.
  virtual void Replay() = 0;
};

// Makes recorders from now on; null: none.
using StepRecorderMaker = std::unique_ptr<StepRecorder> (*)(c10::Device device);
void SetStepRecorderMaker(StepRecorderMaker maker);
// Null on the CPU and where no maker was set.
std::unique_ptr<StepRecorder> MakeStepRecorder(c10::Device device);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_STEP_RECORDER_H_
