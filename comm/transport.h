// The interface of a backend: it moves bytes between ranks without waiting. The collectives and
// messages of transport_communicator.h are built on it, the same for every backend.
#ifndef FLAME_COMM_TRANSPORT_H_
#define FLAME_COMM_TRANSPORT_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace flame {

// A transfer of bytes under way. The buffer must outlive it, or live until Done() was true.
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
  // Returns the number in the whole job of this transport's rank `rank`, for error messages.
  virtual int WorldRank(int rank) const = 0;

  // Transfers of one (channel, source, destination, tag) arrive in order. Tags are in [0, kTags),
  // which is half of the range of Open MPI over UCX (MPI_TAG_UB is 2^23 - 1).
  static constexpr int kTags = 1 << 22;
  virtual std::unique_ptr<Transfer> Send(Channel channel, int destination, int tag,
                                         const void* data, size_t num_bytes) = 0;
  // `data` has room for `capacity` bytes. A shorter transfer is accepted on kCollectives and is a
  // MachineError on kMessages.
  virtual std::unique_ptr<Transfer> Receive(Channel channel, int source, int tag, void* data,
                                            size_t capacity) = 0;
  // Takes a whole transfer of kMessages if one has arrived; source -1 means any.
  virtual bool TryTake(int source, int tag, int* from, std::string* bytes) = 0;

  // Lets time pass between two polls when nothing has moved for `idle`. Called without locks.
  virtual void Pause(Clock::duration idle) = 0;

  // Makes the transport of `members`, ranks of this one in order. Collective. `index` counts the
  // calls, `color` is the same for all members.
  virtual std::unique_ptr<Transport> Split(int index, int color,
                                           const std::vector<int>& members) = 0;
};

}  // namespace flame

#endif  // FLAME_COMM_TRANSPORT_H_
