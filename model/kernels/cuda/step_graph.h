// Records steps as CUDA graphs; part of libflame_cuda.so.
#ifndef FLAME_MODEL_CUDA_STEP_GRAPH_H_
#define FLAME_MODEL_CUDA_STEP_GRAPH_H_

#include <memory>

#include "model/kernels/step_recorder.h"

namespace flame {

// The type of the function that the module exports; equals StepRecorderMaker.
using MakeStepGraphFunction = std::unique_ptr<StepRecorder>(c10::Device device);
constexpr char kMakeStepGraph[] = "FlameMakeStepGraph";

}  // namespace flame

#endif  // FLAME_MODEL_CUDA_STEP_GRAPH_H_
