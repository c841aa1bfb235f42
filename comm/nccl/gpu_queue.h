// The stream on which one rank's collectives run, beside the stream of its arithmetic.
#ifndef FLAME_COMM_NCCL_GPU_QUEUE_H_
#define FLAME_COMM_NCCL_GPU_QUEUE_H_

#include <ATen/core/Tensor.h>

#include <memory>

struct CUstream_st;

namespace flame {

// A point in the queue.
class GpuEvent {
 public:
  virtual ~GpuEvent() = default;
  virtual bool Done() = 0;                // never waits; MachineError if the GPU failed
  virtual void CurrentStreamWaits() = 0;  // arithmetic enqueued later runs after this point
};

class GpuQueue {
 public:
  virtual ~GpuQueue() = default;
  virtual bool Holds(const at::Tensor& tensor) const = 0;  // true if it lies on this queue's GPU
  virtual CUstream_st* stream() const = 0;                 // a cudaStream_t
  // Makes later work of this queue start after the work that is now in the current stream.
  virtual void FollowCurrentStream() = 0;
  virtual std::unique_ptr<GpuEvent> Record() = 0;
};

// Throws MachineError if CUDA fails.
std::shared_ptr<GpuQueue> MakeCudaQueue(int device);

}  // namespace flame

#endif  // FLAME_COMM_NCCL_GPU_QUEUE_H_
