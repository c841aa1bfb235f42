#include "comm/staged_communicator.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <utility>

namespace flame {
namespace {

// Copies the result of the host's collective to the device's tensor.
class StagedWork : public Work {
 public:
  StagedWork(std::unique_ptr<Work> work, at::Tensor host, at::Tensor device)
      : work_(std::move(work)), host_(std::move(host)), device_(std::move(device)) {}
  void Wait() override {
    work_->Wait();
    device_.copy_(host_);
  }
  bool Done() override { return work_->Done(); }

 private:
  std::unique_ptr<Work> work_;
  at::Tensor host_, device_;
};

// Copies even a CPU tensor, because the caller may pass views of one buffer.
at::Tensor OnHost(const at::Tensor& tensor) {
  return tensor.to(at::kCPU, /*non_blocking=*/false, /*copy=*/true).contiguous();
}

at::Tensor RoomOnHost(const at::Tensor& like) {
  return at::empty_like(like, like.options().device(at::kCPU));
}

}  // namespace

std::unique_ptr<Work> StagedCommunicator::AllReduce(at::Tensor tensor, ReduceOp op) {
  const at::Tensor host = OnHost(tensor);
  return std::make_unique<StagedWork>(host_->AllReduce(host, op), host, std::move(tensor));
}

std::unique_ptr<Work> StagedCommunicator::Broadcast(at::Tensor tensor, int root) {
  const at::Tensor host = OnHost(tensor);
  return std::make_unique<StagedWork>(host_->Broadcast(host, root), host, std::move(tensor));
}

std::unique_ptr<Work> StagedCommunicator::AllGather(at::Tensor output, at::Tensor input) {
  const at::Tensor host = RoomOnHost(output);
  return std::make_unique<StagedWork>(host_->AllGather(host, OnHost(input)), host,
                                      std::move(output));
}

std::unique_ptr<Work> StagedCommunicator::ReduceScatter(at::Tensor output, at::Tensor input,
                                                        ReduceOp op) {
  const at::Tensor host = RoomOnHost(output);
  return std::make_unique<StagedWork>(host_->ReduceScatter(host, OnHost(input), op), host,
                                      std::move(output));
}

std::unique_ptr<Communicator> StagedCommunicator::Split(int color) {
  return std::unique_ptr<Communicator>(new StagedCommunicator(host_->Split(color)));
}

}  // namespace flame
