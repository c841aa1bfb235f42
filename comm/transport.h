// What a backend gives: bytes moved between ranks without waiting. The collectives and messages of
// transport_communicator.h are built on it, the same for every backend.
#ifndef FLAME_COMM_TRANSPORT_H_
#define FLAME_COMM_TRANSPORT_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace flame {

// Bytes on their way. The buffer must outlive it, or stay alive until Done() was true.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Never waits. Throws MachineError if the transfer failed.
  virtual bool Done() = 0;
};

class Transport {
 public:
  enum Channel { kCollectives, kMessages };
  using Clock = std::chrono::steady_clock;

  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::string name() const = 0;
  // The rank in the job of rank `rank` here, for messages to people.
  virtual int WorldRank(int rank) const = 0;

  // Transfers of one (channel, source, destination, tag) arrive in order.
  // 0 <= tag < kTags, half of what Open MPI over UCX has (MPI_TAG_UB 2^23 - 1).
  static constexpr int kTags = 1 << 22;
  virtual std::unique_ptr<Transfer> Send(Channel channel, int destination, int tag,
                                         const void* data, size_t num_bytes) = 0;
  // `capacity` bytes of room; on kCollectives a shorter transfer is accepted, on kMessages it is a
  // MachineError.
  virtual std::unique_ptr<Transfer> Receive(Channel channel, int source, int tag, void* data,
                                            size_t capacity) = 0;
  // Takes a whole transfer of kMessages if one has arrived; source -1 is any.
  virtual bool TryTake(int source, int tag, int* from, std::string* bytes) = 0;

  // Lets time pass between two polls when nothing has moved for `idle`. Called without locks.
  virtual void Pause(Clock::duration idle) = 0;

  // The transport among `members`, ranks of this one in order; collective. `index` counts the
  // calls, `color` is the same for all members.
  virtual std::unique_ptr<Transport> Split(int index, int color,
                                           const std::vector<int>& members) = 0;
};

}  // namespace flame

#endif  // FLAME_COMM_TRANSPORT_H_
