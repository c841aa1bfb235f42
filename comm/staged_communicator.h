// Runs collectives of device tensors over a communicator that takes CPU tensors, through a copy on
// the host. For a cluster or a test without NCCL.
#ifndef FLAME_COMM_STAGED_COMMUNICATOR_H_
#define FLAME_COMM_STAGED_COMMUNICATOR_H_

#include <memory>
#include <string>
#include <utility>

#include "comm/communicator.h"

namespace flame {

class StagedCommunicator : public Communicator {
 public:
  // `host` must outlive this object.
  explicit StagedCommunicator(Communicator* host) : host_(host) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  int WorldRank(int rank) const override { return host_->WorldRank(rank); }
  std::string name() const override { return "staged over " + host_->name(); }
  std::unique_ptr<Work> AllReduce(at::Tensor tensor, ReduceOp op) override;
  std::unique_ptr<Work> Broadcast(at::Tensor tensor, int root) override;
  std::unique_ptr<Work> AllGather(at::Tensor output, at::Tensor input) override;
  std::unique_ptr<Work> ReduceScatter(at::Tensor output, at::Tensor input, ReduceOp op) override;
  void Barrier() override { host_->Barrier(); }
  void Send(const std::string& bytes, int destination, int tag) override {
    host_->Send(bytes, destination, tag);
  }
  Message Receive(int source, int tag) override { return host_->Receive(source, tag); }
  bool TryReceive(int source, int tag, Milliseconds wait, Message* message) override {
    return host_->TryReceive(source, tag, wait, message);
  }
  std::unique_ptr<Work> SendTensor(at::Tensor tensor, int destination, int tag) override {
    return host_->SendTensor(std::move(tensor), destination, tag);
  }
  std::unique_ptr<Work> ReceiveTensor(at::Tensor tensor, int source, int tag) override {
    return host_->ReceiveTensor(std::move(tensor), source, tag);
  }
  std::unique_ptr<Communicator> Split(int color) override;

 private:
  explicit StagedCommunicator(std::unique_ptr<Communicator> host)
      : owned_(std::move(host)), host_(owned_.get()) {}

  std::unique_ptr<Communicator> owned_;
  Communicator* host_;
};

}  // namespace flame

#endif  // FLAME_COMM_STAGED_COMMUNICATOR_H_
