#include "model/kernels/cuda/step_graph.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <type_traits>

namespace flame {
namespace {

// Makes `to` wait for all work that is in `from` now.
void Follow(const c10::cuda::CUDAStream& from, const c10::cuda::CUDAStream& to) {
  at::cuda::CUDAEvent event;
  event.record(from);
  event.block(to);
}

class StepGraph : public StepRecorder {
 public:
  explicit StepGraph(c10::Device device)
      : device_(device),
        // The default stream cannot be recorded.
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  void Record(const std::function<void()>& body) override {
    const c10::cuda::CUDAGuard on_device(device_);
    const c10::cuda::CUDAStream caller = c10::cuda::getCurrentCUDAStream(device_.index());
    Follow(caller, stream_);
    {
      const c10::cuda::CUDAStreamGuard on_stream(stream_);
      body();  // keeps what libraries set up on a stream's first call out of the step
      // Thread-local capture lets other threads of this process allocate.
      graph_.capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
      try {
        body();
      } catch (...) {
        EndAfterError();
        throw;
      }
      graph_.capture_end();
    }
    Follow(stream_, caller);
    Replay();
  }

  void Replay() override {
    const c10::cuda::CUDAGuard on_device(device_);
    graph_.replay();
  }

 private:
  // Ends the stream's recording without throwing: the caller throws the body's error.
  void EndAfterError() {
    try {
      graph_.capture_end();
    } catch (const std::exception&) {
    }
  }

  c10::Device device_;
  c10::cuda::CUDAStream stream_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace
}  // namespace flame

// C linkage only for the plain name; caller and module are built together.
#pragma GCC diagnostic ignored "-Wreturn-type-c-linkage"
extern "C" std::unique_ptr<flame::StepRecorder> FlameMakeStepGraph(c10::Device device) {
  return std::make_unique<flame::StepGraph>(device);
}

static_assert(std::is_same_v<decltype(FlameMakeStepGraph), flame::MakeStepGraphFunction>);
