#include "comm/nccl/gpu_queue.h"

#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime.h>

#include "base/error.h"

namespace flame {
namespace {

void Check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw MachineError(call, " failed: ", cudaGetErrorString(status));
}

// Makes `device` the current device during its lifetime.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    Check(cudaGetDevice(&before_), "cudaGetDevice");
    Check(cudaSetDevice(device), "cudaSetDevice");
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

class CudaEvent : public GpuEvent {
 public:
  CudaEvent(int device, cudaStream_t stream) : device_(device) {
    const OnDevice on(device_);
    Check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
    Check(cudaEventRecord(event_, stream), "cudaEventRecord");
  }
  ~CudaEvent() override { cudaEventDestroy(event_); }

  bool Done() override {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) return false;
    Check(status, "cudaEventQuery");
    return true;
  }

  void CurrentStreamWaits() override { Precede(c10::cuda::getCurrentCUDAStream(device_).stream()); }
  void Precede(cudaStream_t stream) {
    const OnDevice on(device_);
    Check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }

 private:
  int device_;
  cudaEvent_t event_ = nullptr;
};

class CudaQueue : public GpuQueue {
 public:
  explicit CudaQueue(int device) : device_(device) {
    const OnDevice on(device_);
    int lowest = 0, highest = 0;
    Check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "cudaDeviceGetStreamPriorityRange");
    // The priority is high because arithmetic fills the GPU: a gather behind it would not overlap.
    Check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, highest),
          "cudaStreamCreateWithPriority");
  }
  ~CudaQueue() override { cudaStreamDestroy(stream_); }

  bool Holds(const at::Tensor& tensor) const override {
    return tensor.is_cuda() && tensor.get_device() == device_;
  }
  CUstream_st* stream() const override { return stream_; }
  void FollowCurrentStream() override {
    CudaEvent(device_, c10::cuda::getCurrentCUDAStream(device_).stream()).Precede(stream_);
  }
  std::unique_ptr<GpuEvent> Record() override {
    return std::make_unique<CudaEvent>(device_, stream_);
  }

 private:
  int device_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

std::shared_ptr<GpuQueue> MakeCudaQueue(int device) { return std::make_shared<CudaQueue>(device); }

}  // namespace flame
