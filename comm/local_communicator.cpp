#include "comm/local_communicator.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "comm/transport_communicator.h"

namespace flame {
namespace {

// Bytes that have been sent but not yet taken.
struct Parcel {
  int source = 0, tag = 0;
  std::string bytes;
};

struct Inbox {
  std::list<Parcel> parcels[2];  // by channel, in order of arrival
  uint64_t num_arrived = 0;
  // The numbers of receives posted and done, by (channel, source, tag). Receives take parcels in
  // the order in which they were posted.
  struct Turns {
    uint64_t posted = 0, taken = 0;
  };
  std::map<std::tuple<int, int, int>, Turns> turns;
  std::condition_variable arrived;
};

// State that the ranks of one local communicator share.
struct LocalWorld {
  LocalWorld(int size, std::string name) : name(std::move(name)), inboxes(size) {}

  const std::string name;
  std::mutex mutex;
  std::vector<Inbox> inboxes;
  struct Child {
    std::shared_ptr<LocalWorld> world;
    size_t num_joined = 0;
  };
  std::map<std::pair<int, int>, Child> children;  // by (split, color), until all have joined
};

class SentTransfer : public Transfer {
 public:
  bool Done() override { return true; }
};

// Moves the first parcel of (channel, source, tag) at `rank` to `parcel`; source -1 is any. False
// if there is no such parcel yet.
bool TakeParcel(LocalWorld* world, int rank, Transport::Channel channel, int source, int tag,
                Parcel* parcel) {
  std::lock_guard lock(world->mutex);
  auto& parcels = world->inboxes[rank].parcels[channel];
  const auto found = std::find_if(parcels.begin(), parcels.end(), [&](const Parcel& p) {
    return p.tag == tag && (source < 0 || p.source == source);
  });
  if (found == parcels.end()) return false;
  *parcel = std::move(*found);
  parcels.erase(found);
  return true;
}

class ReceivingTransfer : public Transfer {
 public:
  ReceivingTransfer(std::shared_ptr<LocalWorld> world, int rank, Transport::Channel channel,
                    int source, int tag, void* data, size_t capacity)
      : world_(std::move(world)),
        rank_(rank),
        channel_(channel),
        source_(source),
        tag_(tag),
        data_(data),
        capacity_(capacity) {
    std::lock_guard lock(world_->mutex);
    turn_ = Turns().posted++;
  }

  bool Done() override {
    Parcel parcel;
    {
      std::lock_guard lock(world_->mutex);
      if (Turns().taken != turn_) return false;
    }
    if (!TakeParcel(world_.get(), rank_, channel_, source_, tag_, &parcel)) return false;
    {
      std::lock_guard lock(world_->mutex);
      Inbox::Turns& turns = Turns();
      if (++turns.taken == turns.posted) world_->inboxes[rank_].turns.erase(Key());
    }
    const bool any_shorter = channel_ == Transport::kCollectives;
    if (parcel.bytes.size() > capacity_ || (parcel.bytes.size() < capacity_ && !any_shorter)) {
      throw MachineError("rank ", rank_, " expected ", any_shorter ? "at most " : "", capacity_,
                         " bytes from rank ", source_, ", received ", parcel.bytes.size());
    }
    if (!parcel.bytes.empty()) std::memcpy(data_, parcel.bytes.data(), parcel.bytes.size());
    return true;
  }

 private:
  std::tuple<int, int, int> Key() const { return {channel_, source_, tag_}; }
  Inbox::Turns& Turns() { return world_->inboxes[rank_].turns[Key()]; }

  std::shared_ptr<LocalWorld> world_;
  int rank_;
  Transport::Channel channel_;
  int source_, tag_;
  void* data_;
  size_t capacity_;
  uint64_t turn_ = 0;
};

class LocalTransport : public Transport {
 public:
  LocalTransport(std::shared_ptr<LocalWorld> world, int rank, std::vector<int> world_ranks)
      : world_(std::move(world)), rank_(rank), world_ranks_(std::move(world_ranks)) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(world_ranks_.size()); }
  std::string name() const override { return world_->name; }
  int WorldRank(int rank) const override { return world_ranks_[rank]; }

  std::unique_ptr<Transfer> Send(Channel channel, int destination, int tag, const void* data,
                                 size_t num_bytes) override {
    std::lock_guard lock(world_->mutex);
    Inbox& inbox = world_->inboxes[destination];
    inbox.parcels[channel].push_back(
        {rank_, tag, std::string(static_cast<const char*>(data), num_bytes)});
    ++inbox.num_arrived;
    inbox.arrived.notify_all();
    return std::make_unique<SentTransfer>();
  }

  std::unique_ptr<Transfer> Receive(Channel channel, int source, int tag, void* data,
                                    size_t capacity) override {
    return std::make_unique<ReceivingTransfer>(world_, rank_, channel, source, tag, data, capacity);
  }

  bool TryTake(int source, int tag, int* from, std::string* bytes) override {
    Parcel parcel;
    if (!TakeParcel(world_.get(), rank_, kMessages, source, tag, &parcel)) return false;
    *from = parcel.source;
    *bytes = std::move(parcel.bytes);
    return true;
  }

  void Pause(Clock::duration idle) override {
    std::unique_lock lock(world_->mutex);
    Inbox& inbox = world_->inboxes[rank_];
    // The wait is short because an arrival at another communicator of this rank does not end it.
    inbox.arrived.wait_for(lock, std::chrono::milliseconds(1),
                           [&] { return inbox.num_arrived != num_seen_; });
    num_seen_ = inbox.num_arrived;
  }

  std::unique_ptr<Transport> Split(int index, int color, const std::vector<int>& members) override {
    std::vector<int> world_ranks;
    for (int member : members) world_ranks.push_back(world_ranks_[member]);
    std::lock_guard lock(world_->mutex);
    LocalWorld::Child& child = world_->children[{index, color}];
    if (!child.world) {
      child.world = std::make_shared<LocalWorld>(members.size(), StrCat(name(), "/", color));
    }
    const auto world = child.world;
    if (++child.num_joined == members.size()) world_->children.erase({index, color});
    const int rank = std::find(members.begin(), members.end(), rank_) - members.begin();
    return std::make_unique<LocalTransport>(world, rank, std::move(world_ranks));
  }

 private:
  std::shared_ptr<LocalWorld> world_;
  int rank_;
  std::vector<int> world_ranks_;
  uint64_t num_seen_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> MakeLocalGroup(int size,
                                                          Communicator::Milliseconds timeout) {
  const auto world = std::make_shared<LocalWorld>(size, "local");
  std::vector<int> ranks(size);
  for (int r = 0; r < size; ++r) ranks[r] = r;
  std::vector<std::unique_ptr<Communicator>> group;
  for (int r = 0; r < size; ++r) {
    group.push_back(std::make_unique<TransportCommunicator>(
        std::make_shared<LocalTransport>(world, r, ranks), std::make_shared<Engine>(), timeout));
  }
  return group;
}

}  // namespace flame
