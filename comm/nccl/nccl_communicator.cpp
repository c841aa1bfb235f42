#include "comm/nccl/nccl_communicator.h"

#include <utility>

#include "base/error.h"
#include "comm/nccl/nccl_state.h"

namespace flame {
namespace {

ncclDataType_t DataType(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    case at::kInt:
      return ncclInt32;
    case at::kLong:
      return ncclInt64;
    case at::kByte:
      return ncclUint8;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kHalf:
      return ncclFloat16;
    default:
      throw MachineError(
          "NCCL collectives here take float32, float64, int32, int64, uint8, "
          "bfloat16 and float16, found ",
          tensor.toString());
  }
}

ncclRedOp_t Operator(ReduceOp op) {
  return op == ReduceOp::kSum ? ncclSum : op == ReduceOp::kMax ? ncclMax : ncclMin;
}

class NcclWork : public Work {
 public:
  NcclWork(std::shared_ptr<NcclState> state, uint64_t key, std::string operation,
           std::vector<at::Tensor> tensors)
      : state_(std::move(state)),
        key_(key),
        operation_(std::move(operation)),
        tensors_(std::move(tensors)),
        event_(state_->queue->Record()) {}

  void Wait() override {
    state_->Await(key_, operation_, [this] { return event_->Done(); });
    state_->recorder->Finish(key_);
    event_->CurrentStreamWaits();
  }
  bool Done() override { return event_->Done(); }

 private:
  std::shared_ptr<NcclState> state_;
  uint64_t key_;
  std::string operation_;
  std::vector<at::Tensor> tensors_;  // kept from the allocator until the GPU is done
  std::unique_ptr<GpuEvent> event_;
};

}  // namespace

NcclCommunicator::NcclCommunicator(std::shared_ptr<Communicator> control, const NcclTable* nccl,
                                   std::shared_ptr<GpuQueue> queue, Milliseconds timeout)
    : state_(std::make_shared<NcclState>(std::move(control), nccl, std::move(queue), timeout)) {}

int NcclCommunicator::rank() const { return state_->control->rank(); }
int NcclCommunicator::WorldRank(int rank) const { return state_->control->WorldRank(rank); }
int NcclCommunicator::size() const { return state_->control->size(); }
std::string NcclCommunicator::name() const { return state_->recorder->communicator(); }

std::unique_ptr<Work> NcclCommunicator::Start(const char* operation,
                                              std::vector<at::Tensor> tensors,
                                              const std::function<int()>& call) {
  NcclState& state = *state_;
  const uint64_t sequence = ++state.num_collectives;
  const int64_t num_bytes = tensors[0].nbytes();
  const uint64_t key = state.recorder->Start(operation, sequence, num_bytes);
  const std::string text = StrCat(operation, " #", sequence, " (", num_bytes, " bytes)");
  state.queue->FollowCurrentStream();
  // Equal in shape on all ranks, so all skip the empty ones.
  const int result = num_bytes > 0 && state.handle ? call() : ncclSuccess;
  state.Complete(key, text, static_cast<ncclResult_t>(result));
  return std::make_unique<NcclWork>(state_, key, text, std::move(tensors));
}

void NcclCommunicator::CheckTensors(const char* operation, const at::Tensor& whole,
                                    const at::Tensor& part, int64_t ratio) const {
  for (const at::Tensor& tensor : {whole, part}) {
    if (!tensor.defined() || !state_->queue->Holds(tensor) || !tensor.is_contiguous()) {
      throw MachineError(operation, " of '", name(),
                         "' takes contiguous tensors on this rank's GPU, found ",
                         tensor.defined() ? tensor.toString() : "an undefined one");
    }
  }
  if (whole.numel() != part.numel() * ratio || whole.scalar_type() != part.scalar_type()) {
    throw MachineError(operation, " over ", size(), " rank(s) takes ", ratio,
                       " times as many elements on one side, of one dtype; found ", whole.numel(),
                       " of ", whole.toString(), " and ", part.numel(), " of ", part.toString());
  }
}

std::unique_ptr<Work> NcclCommunicator::AllReduce(at::Tensor tensor, ReduceOp op) {
  CheckTensors("all-reduce", tensor, tensor, 1);
  return Start("all-reduce", {tensor}, [&] {
    return state_->nccl->AllReduce(tensor.data_ptr(), tensor.data_ptr(), tensor.numel(),
                                   DataType(tensor), Operator(op), state_->handle,
                                   state_->queue->stream());
  });
}

std::unique_ptr<Work> NcclCommunicator::Broadcast(at::Tensor tensor, int root) {
  CheckTensors("broadcast", tensor, tensor, 1);
  if (root < 0 || root >= size()) {
    throw MachineError("the root of a broadcast must be in [0, ", size(), "), found ", root);
  }
  return Start("broadcast", {tensor}, [&] {
    return state_->nccl->Broadcast(tensor.data_ptr(), tensor.data_ptr(), tensor.numel(),
                                   DataType(tensor), root, state_->handle, state_->queue->stream());
  });
}

std::unique_ptr<Work> NcclCommunicator::AllGather(at::Tensor output, at::Tensor input) {
  CheckTensors("all-gather", output, input, size());
  return Start("all-gather", {input, output}, [&] {
    return state_->nccl->AllGather(input.data_ptr(), output.data_ptr(), input.numel(),
                                   DataType(input), state_->handle, state_->queue->stream());
  });
}

std::unique_ptr<Work> NcclCommunicator::ReduceScatter(at::Tensor output, at::Tensor input,
                                                      ReduceOp op) {
  CheckTensors("reduce-scatter", input, output, size());
  return Start("reduce-scatter", {output, input}, [&] {
    return state_->nccl->ReduceScatter(input.data_ptr(), output.data_ptr(), output.numel(),
                                       DataType(input), Operator(op), state_->handle,
                                       state_->queue->stream());
  });
}

void NcclCommunicator::Barrier() { state_->control->Barrier(); }

void NcclCommunicator::Send(const std::string& bytes, int destination, int tag) {
  state_->control->Send(bytes, destination, tag);
}

Message NcclCommunicator::Receive(int source, int tag) {
  return state_->control->Receive(source, tag);
}

bool NcclCommunicator::TryReceive(int source, int tag, Milliseconds wait, Message* message) {
  return state_->control->TryReceive(source, tag, wait, message);
}

std::unique_ptr<Work> NcclCommunicator::SendTensor(at::Tensor tensor, int destination, int tag) {
  return state_->control->SendTensor(std::move(tensor), destination, tag);
}

std::unique_ptr<Work> NcclCommunicator::ReceiveTensor(at::Tensor tensor, int source, int tag) {
  return state_->control->ReceiveTensor(std::move(tensor), source, tag);
}

std::unique_ptr<Communicator> NcclCommunicator::Split(int color) {
  return std::make_unique<NcclCommunicator>(state_->control->Split(color), state_->nccl,
                                            state_->queue, state_->timeout);
}

}  // namespace flame
