// Collectives and messages between ranks, each with a deadline.
#ifndef FLAME_COMM_COMMUNICATOR_H_
#define FLAME_COMM_COMMUNICATOR_H_

#include <ATen/core/Tensor.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace flame {

enum class ReduceOp { kSum, kMax, kMin };

// A started operation. Wait() returns when the operation is done. It throws MachineError after the
// timeout or if the ranks' calls differ. After the timeout, the message names rank, operation,
// sequence number and missing ranks; if calls differ, it names the ranks and their calls. Every
// Work must be waited for; its tensors must stay untouched until then.
class Work {
 public:
  virtual ~Work() = default;
  virtual void Wait() = 0;
  virtual bool Done() = 0;
};

struct Message {
  int source = -1, tag = 0;
  std::string bytes;
};

// All ranks must call the same collectives in the same order, each rank from one thread. Tensors
// are contiguous, of equal shape and dtype on all ranks. The mpi and local backends take CPU
// tensors and reduce in rank order, which gives the same bits on every rank and in every run. The
// nccl backend takes GPU tensors and reduces in an order of its own. Reductions take float32,
// float64, bfloat16, int32, int64 and uint8; collectives that only move bytes take any dtype.
class Communicator {
 public:
  using Milliseconds = std::chrono::milliseconds;
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Returns the rank in the whole job that is rank `rank` here, for error messages.
  virtual int WorldRank(int rank) const = 0;
  virtual std::string name() const = 0;  // "mpi world", "local"

  virtual std::unique_ptr<Work> AllReduce(at::Tensor tensor, ReduceOp op) = 0;  // in place
  virtual std::unique_ptr<Work> Broadcast(at::Tensor tensor, int root) = 0;     // in place
  // output [size() * n], input [n].
  virtual std::unique_ptr<Work> AllGather(at::Tensor output, at::Tensor input) = 0;
  // output [n], input [size() * n].
  virtual std::unique_ptr<Work> ReduceScatter(at::Tensor output, at::Tensor input, ReduceOp op) = 0;
  virtual void Barrier() = 0;

  // Collectives started between BeginGroup and EndGroup may be launched as one. Their works must
  // not be waited for before EndGroup. A backend that gains nothing from groups does nothing here.
  virtual void BeginGroup() {}
  virtual void EndGroup() {}

  // Sends bytes of any length and returns once they are copied or delivered. Messages between two
  // ranks with one tag arrive in order.
  virtual void Send(const std::string& bytes, int destination, int tag) = 0;
  static constexpr int kAnySource = -1;
  // Waits for a message until the deadline, then throws MachineError naming the ranks it waited
  // for.
  virtual Message Receive(int source, int tag) = 0;
  // Waits for a message. Returns false if none has arrived within `wait`.
  virtual bool TryReceive(int source, int tag, Milliseconds wait, Message* message) = 0;

  // Sends a contiguous CPU tensor directly from memory to memory; meant for large tensors. Both
  // sides must know its size. Transfers between two ranks with one tag arrive in order,
  // independently of messages.
  virtual std::unique_ptr<Work> SendTensor(at::Tensor tensor, int destination, int tag) = 0;
  // Receives a tensor that SendTensor sends.
  virtual std::unique_ptr<Work> ReceiveTensor(at::Tensor tensor, int source, int tag) = 0;

  // Makes a communicator of the ranks that pass the same color, ordered by rank. Collective.
  virtual std::unique_ptr<Communicator> Split(int color) = 0;
};

}  // namespace flame

#endif  // FLAME_COMM_COMMUNICATOR_H_
