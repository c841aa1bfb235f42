#include "model/kernels/step_recorder.h"

namespace flame {
namespace {

StepRecorderMaker& Maker() {
  static StepRecorderMaker maker = nullptr;
  return maker;
}

}  // namespace

void SetStepRecorderMaker(StepRecorderMaker maker) { Maker() = maker; }

std::unique_ptr<StepRecorder> MakeStepRecorder(c10::Device device) {
  return device.is_cpu() || Maker() == nullptr ? nullptr : Maker()(device);
}

}  // namespace flame
