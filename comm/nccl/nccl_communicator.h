// The NCCL backend: one GPU a rank. Collectives take contiguous tensors on that GPU, also of
// bfloat16 and float16. They run beside the arithmetic of the current stream, but after the work
// that was in it when they were started. Reductions give equal results on all ranks, in NCCL's
// order instead of rank order. Messages, transfers of CPU tensors, Barrier and the colors of Split
// travel over the communicator that this one was made from.
#ifndef FLAME_COMM_NCCL_NCCL_COMMUNICATOR_H_
#define FLAME_COMM_NCCL_NCCL_COMMUNICATOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/nccl/gpu_queue.h"

namespace flame {

struct NcclLaunch;
struct NcclState;
struct NcclTable;

class NcclCommunicator : public Communicator {
 public:
  // Collective over the ranks of `control`, a CPU communicator. `nccl` must outlive this object.
  NcclCommunicator(std::shared_ptr<Communicator> control, const NcclTable* nccl,
                   std::shared_ptr<GpuQueue> queue, Milliseconds timeout);

  int rank() const override;
  int size() const override;
  int WorldRank(int rank) const override;
  std::string name() const override;  // "nccl over mpi world"
  std::unique_ptr<Work> AllReduce(at::Tensor tensor, ReduceOp op) override;
  std::unique_ptr<Work> Broadcast(at::Tensor tensor, int root) override;
  std::unique_ptr<Work> AllGather(at::Tensor output, at::Tensor input) override;
  std::unique_ptr<Work> ReduceScatter(at::Tensor output, at::Tensor input, ReduceOp op) override;
  void Barrier() override;
  void BeginGroup() override;  // ncclGroupStart: one launch for the group
  void EndGroup() override;
  void Send(const std::string& bytes, int destination, int tag) override;
  Message Receive(int source, int tag) override;
  bool TryReceive(int source, int tag, Milliseconds wait, Message* message) override;
  std::unique_ptr<Work> SendTensor(at::Tensor tensor, int destination, int tag) override;
  std::unique_ptr<Work> ReceiveTensor(at::Tensor tensor, int source, int tag) override;
  std::unique_ptr<Communicator> Split(int color) override;

 private:
  // `call` enqueues the collective and returns its ncclResult_t. `how` describes the call, so that
  // calls that differ between ranks are found.
  std::unique_ptr<Work> Start(const char* operation, const std::string& how,
                              std::vector<at::Tensor> tensors, const std::function<int()>& call);
  void CheckTensors(const char* operation, const at::Tensor& whole, const at::Tensor& part,
                    int64_t ratio) const;

  std::shared_ptr<NcclState> state_;
  std::shared_ptr<NcclLaunch> group_;  // the open group; null: none
};

}  // namespace flame

#endif  // FLAME_COMM_NCCL_NCCL_COMMUNICATOR_H_
