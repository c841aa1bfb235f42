#include "comm/nccl/nccl_communicator.h"

#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/trace.h"
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

std::string Reduced(ReduceOp op, const at::Tensor& tensor) {
  const char* name = op == ReduceOp::kSum ? "sum" : op == ReduceOp::kMax ? "maximum" : "minimum";
  return StrCat(name, " of ", at::toString(tensor.scalar_type()));
}

class NcclWork : public Work {
 public:
  NcclWork(std::shared_ptr<NcclState> state, uint64_t key, std::string operation,
           std::vector<at::Tensor> tensors, std::shared_ptr<NcclLaunch> launch)
      : state_(std::move(state)),
        key_(key),
        operation_(std::move(operation)),
        tensors_(std::move(tensors)),
        launch_(std::move(launch)) {
    if (Tracing()) trace_ = TraceBegin(operation_);
  }
  ~NcclWork() override { EndTrace(); }

  void Wait() override {
    if (launch_->event == nullptr) {
      throw std::logic_error(operation_ + " is waited for before its group has ended");
    }
    state_->Await(key_, operation_, [this] { return Done(); });
    state_->recorder->Finish(key_);
    launch_->event->CurrentStreamWaits();
  }

  bool Done() override {
    const bool done = launch_->event != nullptr && launch_->event->Done();
    if (done) EndTrace();
    return done;
  }

 private:
  // Ends the trace's event. Called as soon as this process sees the end of the collective.
  void EndTrace() {
    if (trace_ >= 0) TraceEnd(std::exchange(trace_, -1));
  }

  std::shared_ptr<NcclState> state_;
  uint64_t key_;
  std::string operation_;
  std::vector<at::Tensor> tensors_;  // keep their memory until the GPU is done
  std::shared_ptr<NcclLaunch> launch_;
  int64_t trace_ = -1;
};

}  // namespace

NcclCommunicator::NcclCommunicator(std::shared_ptr<Communicator> control, const NcclTable* nccl,
                                   std::shared_ptr<GpuQueue> queue, Milliseconds timeout)
    : state_(std::make_shared<NcclState>(std::move(control), nccl, std::move(queue), timeout)) {}

int NcclCommunicator::rank() const { return state_->control->rank(); }
int NcclCommunicator::WorldRank(int rank) const { return state_->control->WorldRank(rank); }
int NcclCommunicator::size() const { return state_->control->size(); }
std::string NcclCommunicator::name() const { return state_->recorder->communicator(); }

void NcclCommunicator::BeginGroup() {
  if (group_ != nullptr) throw std::logic_error("a group on '" + name() + "' is open already");
  group_ = std::make_shared<NcclLaunch>();
  const uint64_t key = state_->recorder->Start("group", state_->num_collectives, 0);
  state_->Complete(key, "start of a group", state_->nccl->GroupStart());
  state_->recorder->Finish(key);
}

void NcclCommunicator::EndGroup() {
  const std::shared_ptr<NcclLaunch> launch = std::exchange(group_, nullptr);
  const ncclResult_t result = state_->nccl->GroupEnd();
  if (launch->operation.empty()) return;
  state_->Complete(launch->key, launch->operation, result);
  launch->event = state_->queue->Record();
}

std::unique_ptr<Work> NcclCommunicator::Start(const char* operation, const std::string& how,
                                              std::vector<at::Tensor> tensors,
                                              const std::function<int()>& call) {
  NcclState& state = *state_;
  const uint64_t sequence = ++state.num_collectives;
  const int64_t num_bytes = tensors[0].nbytes();
  const uint64_t key = state.recorder->Start(operation, sequence, num_bytes);
  const std::string text = StrCat(operation, " #", sequence, " (", how, ", ", num_bytes, " bytes)");
  state.queue->FollowCurrentStream();
  // Tensors have the same shape on all ranks, so all ranks skip the empty ones.
  const auto result =
      static_cast<ncclResult_t>(num_bytes > 0 && state.handle ? call() : ncclSuccess);
  const auto launch = group_ != nullptr ? group_ : std::make_shared<NcclLaunch>();
  launch->key = key, launch->operation = text;
  if (group_ == nullptr) {
    state.Complete(key, text, result);
    launch->event = state.queue->Record();
  } else if (result != ncclSuccess && result != ncclInProgress) {
    state.Complete(key, text, result);
  }
  state.NoteCall(key, text);
  return std::make_unique<NcclWork>(state_, key, text, std::move(tensors), launch);
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
  return Start("all-reduce", Reduced(op, tensor), {tensor}, [&] {
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
  const std::string how = StrCat(at::toString(tensor.scalar_type()), " of rank ", root);
  return Start("broadcast", how, {tensor}, [&] {
    return state_->nccl->Broadcast(tensor.data_ptr(), tensor.data_ptr(), tensor.numel(),
                                   DataType(tensor), root, state_->handle, state_->queue->stream());
  });
}

std::unique_ptr<Work> NcclCommunicator::AllGather(at::Tensor output, at::Tensor input) {
  CheckTensors("all-gather", output, input, size());
  return Start("all-gather", at::toString(input.scalar_type()), {input, output}, [&] {
    return state_->nccl->AllGather(input.data_ptr(), output.data_ptr(), input.numel(),
                                   DataType(input), state_->handle, state_->queue->stream());
  });
}

std::unique_ptr<Work> NcclCommunicator::ReduceScatter(at::Tensor output, at::Tensor input,
                                                      ReduceOp op) {
  CheckTensors("reduce-scatter", input, output, size());
  return Start("reduce-scatter", Reduced(op, input), {output, input}, [&] {
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
