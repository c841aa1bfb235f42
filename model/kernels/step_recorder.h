// Records the device work of a decoding step and launches it again as a whole. The recorder is a
// CUDA graph if libflame_cuda.so is loaded.
#ifndef FLAME_MODEL_KERNELS_STEP_RECORDER_H_
#define FLAME_MODEL_KERNELS_STEP_RECORDER_H_

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace flame {

class StepRecorder {
 public:
  virtual ~StepRecorder() = default;
  // Runs `body` and records its device work. May run `body` several times: running it again without
  // new inputs must change nothing. `body` must not ask the host for anything and may allocate only
  // what it frees.
  virtual void Record(const std::function<void()>& body) = 0;
  // Repeats the same work on the same memory, whose contents may have changed.
  virtual void Replay() = 0;
};

// Sets the maker of recorders from now on; null: no recorders.
using StepRecorderMaker = std::unique_ptr<StepRecorder> (*)(c10::Device device);
void SetStepRecorderMaker(StepRecorderMaker maker);
// Returns null on the CPU or if no maker was set.
std::unique_ptr<StepRecorder> MakeStepRecorder(c10::Device device);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_STEP_RECORDER_H_
