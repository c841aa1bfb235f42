// A Communicator over any Transport. Every exchange is direct between two ranks: a reduction sends
// each rank its share of all inputs, the rank sums the share in rank order, and the result is
// spread. A rank sends as many bytes as in the best ring, 2 (n-1)/n of the tensor for an
// all-reduce.
#ifndef FLAME_COMM_TRANSPORT_COMMUNICATOR_H_
#define FLAME_COMM_TRANSPORT_COMMUNICATOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/collective.h"
#include "comm/communicator.h"
#include "comm/engine.h"
#include "comm/transport.h"
#include "comm/watchdog.h"

namespace flame {

// State that a communicator shares with its works.
struct CommContext {
  std::shared_ptr<Transport> transport;
  std::shared_ptr<Engine> engine;
  std::shared_ptr<FlightRecorder> recorder;
  Communicator::Milliseconds timeout;

  // Advances all operations until `done` returns true or `wait` is over. `missing` returns the
  // ranks of the job that are waited for. Both functions run under the engine's lock. True if done.
  bool Await(uint64_t key, Communicator::Milliseconds wait, const std::function<bool()>& done,
             const std::function<std::vector<int>()>& missing) const;
  // Writes the flight record and throws MachineError: `operation` of this rank was not answered in
  // time.
  [[noreturn]] void FailAtDeadline(uint64_t key, const std::string& operation) const;
};

class TransportCommunicator : public Communicator {
 public:
  // `engine` is this rank's only engine, shared by all its communicators.
  TransportCommunicator(std::shared_ptr<Transport> transport, std::shared_ptr<Engine> engine,
                        Milliseconds timeout);

  int rank() const override { return context_->transport->rank(); }
  int size() const override { return context_->transport->size(); }
  int WorldRank(int rank) const override { return context_->transport->WorldRank(rank); }
  std::string name() const override { return context_->transport->name(); }
  std::unique_ptr<Work> AllReduce(at::Tensor tensor, ReduceOp op) override;
  std::unique_ptr<Work> Broadcast(at::Tensor tensor, int root) override;
  std::unique_ptr<Work> AllGather(at::Tensor output, at::Tensor input) override;
  std::unique_ptr<Work> ReduceScatter(at::Tensor output, at::Tensor input, ReduceOp op) override;
  void Barrier() override;
  void Send(const std::string& bytes, int destination, int tag) override;
  Message Receive(int source, int tag) override;
  bool TryReceive(int source, int tag, Milliseconds wait, Message* message) override;
  std::unique_ptr<Work> SendTensor(at::Tensor tensor, int destination, int tag) override;
  std::unique_ptr<Work> ReceiveTensor(at::Tensor tensor, int source, int tag) override;
  std::unique_ptr<Communicator> Split(int color) override;

 private:
  FrameHeader NextHeader(CollectiveKind kind, uint64_t num_bytes);
  std::unique_ptr<Work> Start(const FrameHeader& header, std::vector<Phase> phases,
                              std::vector<at::Tensor> keep);
  bool Take(uint64_t key, int source, int tag, Milliseconds wait, Message* message);
  std::unique_ptr<Work> Move(bool send, at::Tensor tensor, int peer, int tag);
  void CheckRank(int rank, const char* what) const;

  std::shared_ptr<const CommContext> context_;
  uint64_t num_collectives_ = 0, num_messages_ = 0;
  int num_splits_ = 0;
};

}  // namespace flame

#endif  // FLAME_COMM_TRANSPORT_COMMUNICATOR_H_
