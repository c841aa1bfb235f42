#include "comm/transport_communicator.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "comm/schedule.h"
#include "comm/wire.h"

namespace flame {
namespace {

using Clock = Transport::Clock;

// A message and a tensor take two tags each on the wire.
constexpr int kMaxTag = Transport::kTags / 4;
// A message up to this size travels in one piece, a longer one as its length and then its bytes.
constexpr size_t kWholeMessageBytes = 2048;
// The interval at which a wait tells the flight recorder whom it waits for.
constexpr auto kReportEvery = std::chrono::milliseconds(100);

class CollectiveWork : public Work {
 public:
  CollectiveWork(std::shared_ptr<const CommContext> context, std::shared_ptr<Collective> collective,
                 uint64_t key)
      : context_(std::move(context)), collective_(std::move(collective)), key_(key) {}

  void Wait() override {
    const bool done = context_->Await(
        key_, context_->timeout, [this] { return collective_->finished(); },
        [this] { return collective_->Missing(); });
    if (!done) context_->FailAtDeadline(key_, Describe(collective_->header()));
    if (!collective_->error().empty()) {
      WriteFlightRecord();
      throw MachineError(collective_->error());
    }
    context_->recorder->Finish(key_);
  }

  bool Done() override {
    std::lock_guard lock(context_->engine->mutex());
    context_->engine->Progress();
    return collective_->finished();
  }

 private:
  std::shared_ptr<const CommContext> context_;
  std::shared_ptr<Collective> collective_;
  uint64_t key_;
};

// The transfer of a tensor to or from this rank; keeps the tensor's memory.
class TensorTransfer : public Operation {
 public:
  using Start = std::function<std::unique_ptr<Transfer>()>;
  TensorTransfer(Start start, at::Tensor tensor)
      : start_(std::move(start)), tensor_(std::move(tensor)) {}
  // Leaks a transfer under way, because the backend may still use it.
  ~TensorTransfer() override {
    if (transfer_ == nullptr) return;
    static_cast<void>(transfer_.release());
    new at::Tensor(std::move(tensor_));
  }

  bool Moving() const override { return transfer_ != nullptr; }
  bool Advance() override {
    if (finished_) return true;
    try {
      if (start_) transfer_ = std::exchange(start_, nullptr)();
      if (!transfer_->Done()) return false;
    } catch (const std::exception& error) {
      error_ = error.what();
    }
    transfer_.reset();
    return finished_ = true;
  }

  // The calls below need the engine's lock.
  bool finished() const { return finished_; }
  const std::string& error() const { return error_; }  // empty: none

 private:
  Start start_;
  at::Tensor tensor_;
  std::unique_ptr<Transfer> transfer_;
  bool finished_ = false;
  std::string error_;
};

class TransferWork : public Work {
 public:
  TransferWork(std::shared_ptr<const CommContext> context, std::shared_ptr<TensorTransfer> transfer,
               uint64_t key, int peer, std::string what)
      : context_(std::move(context)),
        transfer_(std::move(transfer)),
        key_(key),
        peer_(peer),
        what_(std::move(what)) {}

  void Wait() override {
    const bool done = context_->Await(
        key_, context_->timeout, [this] { return transfer_->finished(); },
        [this] { return std::vector<int>{context_->transport->WorldRank(peer_)}; });
    if (!done) context_->FailAtDeadline(key_, what_);
    if (!transfer_->error().empty()) throw MachineError(what_, ": ", transfer_->error());
    context_->recorder->Finish(key_);
  }

  bool Done() override {
    std::lock_guard lock(context_->engine->mutex());
    context_->engine->Progress();
    return transfer_->finished();
  }

 private:
  std::shared_ptr<const CommContext> context_;
  std::shared_ptr<TensorTransfer> transfer_;
  uint64_t key_;
  int peer_;
  std::string what_;
};

// An outgoing message; owns its bytes.
class OutgoingMessage : public Operation {
 public:
  OutgoingMessage(std::shared_ptr<Transport> transport, const std::string& bytes, int destination,
                  int tag)
      : transport_(std::move(transport)), destination_(destination), tag_(tag) {
    WireWriter frame;
    frame.Pod<uint64_t>(bytes.size());
    state_->frame = frame.Take();
    (bytes.size() <= kWholeMessageBytes ? state_->frame : state_->rest) += bytes;
  }
  // Leaks transfers under way, because the backend may still read their bytes.
  ~OutgoingMessage() override {
    if (!state_->transfers.empty()) state_.release();
  }

  bool Moving() const override { return false; }  // nobody waits for it
  bool Advance() override {
    try {
      if (!std::exchange(started_, true)) Start();
      auto& transfers = state_->transfers;
      while (!transfers.empty() && transfers.back()->Done()) transfers.pop_back();
      return transfers.empty();
    } catch (const std::exception& error) {
      LogError("a message to ", RankName(transport_->WorldRank(destination_)), " with tag ", tag_,
               " was lost: ", error.what());
      return true;
    }
  }

 private:
  struct State {
    std::string frame, rest;
    std::vector<std::unique_ptr<Transfer>> transfers;
  };
  void Start() {
    Add(tag_ * 2, state_->frame);
    if (!state_->rest.empty()) Add(tag_ * 2 + 1, state_->rest);
  }
  void Add(int tag, const std::string& bytes) {
    state_->transfers.push_back(
        transport_->Send(Transport::kMessages, destination_, tag, bytes.data(), bytes.size()));
  }

  std::shared_ptr<Transport> transport_;
  int destination_, tag_;
  std::unique_ptr<State> state_ = std::make_unique<State>();
  bool started_ = false;
};

void CheckTag(int tag) {
  if (tag < 0 || tag >= kMaxTag) {
    throw MachineError("the tag of a message must be in [0, ", kMaxTag, "), found ", tag);
  }
}

void CheckTensor(const at::Tensor& tensor, CollectiveKind kind) {
  if (!tensor.defined() || !tensor.is_cpu() || !tensor.is_contiguous()) {
    throw MachineError(KindName(kind), " takes contiguous CPU tensors, found ",
                       tensor.defined() ? tensor.toString() : "an undefined one");
  }
}

void CheckParts(const at::Tensor& whole, const at::Tensor& part, int size, CollectiveKind kind) {
  CheckTensor(whole, kind);
  CheckTensor(part, kind);
  if (whole.numel() != part.numel() * size || whole.scalar_type() != part.scalar_type()) {
    throw MachineError(KindName(kind), " over ", size, " rank(s) takes ", size,
                       " times as many elements on one side, of one dtype; found ", whole.numel(),
                       " of ", whole.toString(), " and ", part.numel(), " of ", part.toString());
  }
}

}  // namespace

bool CommContext::Await(uint64_t key, Communicator::Milliseconds wait,
                        const std::function<bool()>& done,
                        const std::function<std::vector<int>()>& missing) const {
  auto last_moved = Clock::now();
  const auto poll = [&] {
    std::lock_guard lock(engine->mutex());
    engine->Progress();
    if (done()) return true;
    if (engine->Moving()) last_moved = Clock::now();
    return false;
  };
  if (poll()) return true;
  if (wait.count() <= 0) return false;
  const auto start = Clock::now();
  const WatchedWait watched(recorder, key, std::max(wait, timeout));
  auto next_report = start + kReportEvery;
  for (;;) {
    const auto now = Clock::now();
    if (now >= next_report || now - start >= wait) {
      next_report = now + kReportEvery;
      std::lock_guard lock(engine->mutex());
      recorder->SetWaitsFor(key, missing());
    }
    if (now - start >= wait) return false;
    transport->Pause(now - last_moved);
    if (poll()) return true;
  }
}

void CommContext::FailAtDeadline(uint64_t key, const std::string& operation) const {
  WriteFlightRecord();
  throw MachineError(RankName(transport->WorldRank(transport->rank())), ": ", operation, " on '",
                     transport->name(), "' was not answered within ", timeout.count() / 1000.0,
                     " s by ", RankList(recorder->Entry(key).waits_for));
}

TransportCommunicator::TransportCommunicator(std::shared_ptr<Transport> transport,
                                             std::shared_ptr<Engine> engine, Milliseconds timeout) {
  auto recorder = FlightRecorder::Make(transport->name());
  context_ = std::make_shared<const CommContext>(
      CommContext{std::move(transport), std::move(engine), std::move(recorder), timeout});
}

FrameHeader TransportCommunicator::NextHeader(CollectiveKind kind, uint64_t num_bytes) {
  FrameHeader header;
  header.sequence = ++num_collectives_;
  header.kind = kind;
  header.num_bytes = num_bytes;
  return header;
}

std::unique_ptr<Work> TransportCommunicator::Start(const FrameHeader& header,
                                                   std::vector<Phase> phases,
                                                   std::vector<at::Tensor> keep) {
  const uint64_t key =
      context_->recorder->Start(KindName(header.kind), header.sequence, header.num_bytes);
  auto collective =
      std::make_shared<Collective>(context_->transport, header, std::move(phases), std::move(keep));
  if (Tracing()) collective->set_trace(TraceBegin(Describe(header)));
  context_->engine->Start(collective);
  return std::make_unique<CollectiveWork>(context_, std::move(collective), key);
}

std::unique_ptr<Work> TransportCommunicator::AllReduce(at::Tensor tensor, ReduceOp op) {
  CheckTensor(tensor, CollectiveKind::kAllReduce);
  FrameHeader header = NextHeader(CollectiveKind::kAllReduce, tensor.nbytes());
  header.op = static_cast<uint8_t>(op);
  header.dtype = static_cast<int8_t>(tensor.scalar_type());
  return Start(header, AllReducePhases({rank(), size()}, tensor, op), {tensor});
}

std::unique_ptr<Work> TransportCommunicator::Broadcast(at::Tensor tensor, int root) {
  CheckTensor(tensor, CollectiveKind::kBroadcast);
  CheckRank(root, "the root of a broadcast");
  FrameHeader header = NextHeader(CollectiveKind::kBroadcast, tensor.nbytes());
  header.dtype = static_cast<int8_t>(tensor.scalar_type());
  header.root = root;
  return Start(header, BroadcastPhases({rank(), size()}, tensor, root), {tensor});
}

std::unique_ptr<Work> TransportCommunicator::AllGather(at::Tensor output, at::Tensor input) {
  CheckParts(output, input, size(), CollectiveKind::kAllGather);
  FrameHeader header = NextHeader(CollectiveKind::kAllGather, input.nbytes());
  header.dtype = static_cast<int8_t>(input.scalar_type());
  char* to = static_cast<char*>(output.data_ptr());
  const size_t num_bytes = input.nbytes();
  if (num_bytes > 0) std::memmove(to + rank() * num_bytes, input.data_ptr(), num_bytes);
  return Start(header, {SpreadToAll({rank(), size()}, input.data_ptr(), num_bytes, to)},
               {output, input});
}

std::unique_ptr<Work> TransportCommunicator::ReduceScatter(at::Tensor output, at::Tensor input,
                                                           ReduceOp op) {
  CheckParts(input, output, size(), CollectiveKind::kReduceScatter);
  FrameHeader header = NextHeader(CollectiveKind::kReduceScatter, output.nbytes());
  header.op = static_cast<uint8_t>(op);
  header.dtype = static_cast<int8_t>(input.scalar_type());
  return Start(header, ReduceScatterPhases({rank(), size()}, output, input, op), {output, input});
}

void TransportCommunicator::Barrier() {
  const Phase phase = SpreadToAll({rank(), size()}, nullptr, 0, nullptr);
  Start(NextHeader(CollectiveKind::kBarrier, 0), {phase}, {})->Wait();
}

void TransportCommunicator::Send(const std::string& bytes, int destination, int tag) {
  CheckRank(destination, "the destination of a message");
  CheckTag(tag);
  const uint64_t key = context_->recorder->Start(StrCat("send tag ", tag, " to ", destination),
                                                 ++num_messages_, bytes.size());
  context_->engine->Start(
      std::make_shared<OutgoingMessage>(context_->transport, bytes, destination, tag));
  context_->recorder->Finish(key);
}

bool TransportCommunicator::Take(uint64_t key, int source, int tag, Milliseconds wait,
                                 Message* message) {
  Transport& transport = *context_->transport;
  std::string frame;
  std::unique_ptr<Transfer> rest;
  const auto arrived = [&] {
    if (!transport.TryTake(source, tag * 2, &message->source, &frame)) return false;
    WireReader reader(frame);
    const auto num_bytes = reader.Pod<uint64_t>();
    if (num_bytes <= kWholeMessageBytes) {
      message->bytes = frame.substr(sizeof num_bytes);
    } else {
      message->bytes.resize(num_bytes);
      rest = transport.Receive(Transport::kMessages, message->source, tag * 2 + 1,
                               message->bytes.data(), num_bytes);
    }
    return true;
  };
  const auto senders = [&] {
    std::vector<int> ranks;
    for (int r = 0; r < size(); ++r) {
      if (source == r || (source == kAnySource && (r != rank() || size() == 1))) {
        ranks.push_back(transport.WorldRank(r));
      }
    }
    return ranks;
  };
  message->tag = tag;
  if (!context_->Await(key, wait, arrived, senders)) return false;
  source = message->source;
  if (!rest || context_->Await(
                   key, context_->timeout, [&] { return rest->Done(); }, senders)) {
    return true;
  }
  new std::string(std::move(message->bytes));  // leaked: the backend may still write to it
  context_->FailAtDeadline(key, StrCat("the rest of a message with tag ", tag));
}

Message TransportCommunicator::Receive(int source, int tag) {
  if (source != kAnySource) CheckRank(source, "the source of a message");
  CheckTag(tag);
  const uint64_t key = context_->recorder->Start(StrCat("receive tag ", tag), ++num_messages_, 0);
  Message message;
  if (!Take(key, source, tag, context_->timeout, &message)) {
    context_->FailAtDeadline(key, StrCat("receive #", num_messages_, " of tag ", tag));
  }
  context_->recorder->Finish(key);
  return message;
}

bool TransportCommunicator::TryReceive(int source, int tag, Milliseconds wait, Message* message) {
  if (source != kAnySource) CheckRank(source, "the source of a message");
  CheckTag(tag);
  return Take(FlightRecorder::kNoKey, source, tag, wait, message);
}

std::unique_ptr<Work> TransportCommunicator::SendTensor(at::Tensor tensor, int destination,
                                                        int tag) {
  return Move(/*send=*/true, std::move(tensor), destination, tag);
}

std::unique_ptr<Work> TransportCommunicator::ReceiveTensor(at::Tensor tensor, int source, int tag) {
  return Move(/*send=*/false, std::move(tensor), source, tag);
}

std::unique_ptr<Work> TransportCommunicator::Move(bool send, at::Tensor tensor, int peer, int tag) {
  const char* verb = send ? "send" : "receive";
  CheckRank(peer, "the peer of a transfer");
  CheckTag(tag);
  if (!tensor.defined() || !tensor.is_cpu() || !tensor.is_contiguous() || tensor.nbytes() == 0) {
    throw MachineError("a transfer takes a contiguous CPU tensor of at least one byte, found ",
                       tensor.defined() ? tensor.toString() : "an undefined one");
  }
  const std::string what = StrCat(verb, " of a tensor with tag ", tag, ", ", tensor.nbytes(),
                                  " bytes, ", send ? "to " : "from ", peer);
  const uint64_t key = context_->recorder->Start(what, ++num_messages_, tensor.nbytes());
  const auto start = [transport = context_->transport, send, peer, tag, tensor] {
    // The tag is odd, like that of the rest of a message, so TryTake never looks for it.
    const int on_wire = (tag + kMaxTag) * 2 + 1;
    return send ? transport->Send(Transport::kMessages, peer, on_wire, tensor.const_data_ptr(),
                                  tensor.nbytes())
                : transport->Receive(Transport::kMessages, peer, on_wire, tensor.mutable_data_ptr(),
                                     tensor.nbytes());
  };
  auto transfer = std::make_shared<TensorTransfer>(start, std::move(tensor));
  context_->engine->Start(transfer);
  return std::make_unique<TransferWork>(context_, std::move(transfer), key, peer, what);
}

std::unique_ptr<Communicator> TransportCommunicator::Split(int color) {
  std::vector<int> colors(size());
  colors[rank()] = color;
  const FrameHeader header = NextHeader(CollectiveKind::kSplit, sizeof color);
  Start(
      header,
      {SpreadToAll({rank(), size()}, &color, sizeof color, reinterpret_cast<char*>(colors.data()))},
      {})
      ->Wait();
  std::vector<int> members;
  for (int r = 0; r < size(); ++r) {
    if (colors[r] == color) members.push_back(r);
  }
  const uint64_t key = context_->recorder->Start("split of the backend", header.sequence, 0);
  const WatchedWait watched(context_->recorder, key, context_->timeout);
  std::shared_ptr<Transport> transport;
  {
    std::lock_guard lock(context_->engine->mutex());
    transport = context_->transport->Split(num_splits_++, color, members);
  }
  context_->recorder->Finish(key);
  return std::make_unique<TransportCommunicator>(std::move(transport), context_->engine,
                                                 context_->timeout);
}

void TransportCommunicator::CheckRank(int rank, const char* what) const {
  if (rank < 0 || rank >= size()) {
    throw MachineError(what, " must be a rank in [0, ", size(), ") of '", name(), "', found ",
                       rank);
  }
}

}  // namespace flame
