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

// A started operation. Wait() returns when it is done, or throws MachineError after the timeout,
// naming rank, operation, sequence number and who is missing, or if the ranks' calls differ.
// Every Work must be waited for; tensors handed to it must stay untouched until then.
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

// All ranks call the same collectives in the same order, each from one thread, with contiguous CPU
// tensors (mpi, local) of equal shape and dtype: float32, float64, bfloat16, int32, int64, uint8;
// any dtype where bytes only move. Reductions run in rank order: the same bits on every rank and
// every run.
class Communicator {
 public:
  using Milliseconds = std::chrono::milliseconds;
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // The number in the whole job of this communicator's rank `rank`, for messages.
  virtual int WorldRank(int rank) const = 0;
  virtual std::string name() const = 0;  // "mpi world", "local"

  virtual std::unique_ptr<Work> AllReduce(at::Tensor tensor, ReduceOp op) = 0;  // in place
  virtual std::unique_ptr<Work> Broadcast(at::Tensor tensor, int root) = 0;     // in place
  // output [size() * n], input [n].
  virtual std::unique_ptr<Work> AllGather(at::Tensor output, at::Tensor input) = 0;
  // output [n], input [size() * n].
  virtual std::unique_ptr<Work> ReduceScatter(at::Tensor output, at::Tensor input, ReduceOp op) = 0;
  virtual void Barrier() = 0;

  // Collectives that are started between the two may go out as one; their works are waited for
  // behind EndGroup. A backend that gains nothing by it does nothing.
  virtual void BeginGroup() {}
  virtual void EndGroup() {}

  // Bytes of any length. Messages between two ranks with one tag arrive in order. Send returns once
  // the bytes are copied or delivered.
  virtual void Send(const std::string& bytes, int destination, int tag) = 0;
  static constexpr int kAnySource = -1;
  // Waits up to the deadline; MachineError names whom it waited for.
  virtual Message Receive(int source, int tag) = 0;
  // False if nothing has arrived within `wait`.
  virtual bool TryReceive(int source, int tag, Milliseconds wait, Message* message) = 0;

  // A contiguous CPU tensor straight from memory to memory, for large ones. Both sides know its
  // size; transfers between two ranks with one tag arrive in order, apart from messages.
  virtual std::unique_ptr<Work> SendTensor(at::Tensor tensor, int destination, int tag) = 0;
  virtual std::unique_ptr<Work> ReceiveTensor(at::Tensor tensor, int source, int tag) = 0;

  // The ranks that give the same color, ordered by rank; collective.
  virtual std::unique_ptr<Communicator> Split(int color) = 0;
};

}  // namespace flame

#endif  // FLAME_COMM_COMMUNICATOR_H_
