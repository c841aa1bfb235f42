// Sends the adapters to the rollout ranks with one copy for each host, in memory that the host's
// ranks share. The first free rank of a host takes a new version of the adapters, that is, it gets
// the bytes and checks them: on the sender's host in the memory where they were packed, on another
// host from a message. The host's other ranks are then told where the bytes are and use them there.
// A rank that cannot map that memory gets a message of its own.
#ifndef FLAME_ROLLOUT_ADAPTER_TRANSFER_H_
#define FLAME_ROLLOUT_ADAPTER_TRANSFER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "comm/wire.h"
#include "rollout/weight_sync.h"

namespace flame {

// Buffers for versions of the adapters. All must have the same size.
class SyncBuffers {
 public:
  // Returns a buffer that no tensor outside this object uses any more, or a new one.
  at::Tensor Next(int64_t size);

 private:
  std::vector<at::Tensor> buffers_;
};

// The sender's side. A version's bytes stay unchanged while any rank may use them.
class AdapterSender {
 public:
  explicit AdapterSender(Communicator* world) : world_(world) {}
  // Orders `rank` to take the version. Returns false, and sends nothing, while another rank of its
  // host is still taking it. No rank uses versions before `oldest` any more.
  bool Order(const PackedAdapters& packed, int64_t oldest, int rank);
  // Handles a RolloutMessage::kTaking from `rank`; `note` is past its kind and error.
  void Hear(int rank, const PackedAdapters& packed, WireReader* note);
  // Records that `rank` has taken what it was ordered to take.
  void End(int rank);

 private:
  // A version's copy on one host.
  struct Copy {
    int taker = -1;
    bool taken = false;
    std::string place;  // for MapShared; "": only the taker can use it
  };
  void Send(const PackedAdapters& packed, int rank);
  std::pair<int64_t, std::string> KeyOf(const PackedAdapters& packed, int rank) const;

  Communicator* world_;
  std::map<std::pair<int64_t, std::string>, Copy> copies_;  // key: version and host
  std::set<int> alone_;  // ranks that could not map shared memory
  std::map<int, std::vector<std::unique_ptr<Work>>> transfers_;  // key: receiving rank
};

// The side of a rollout rank.
class AdapterReceiver {
 public:
  explicit AdapterReceiver(Communicator* world) : world_(world) {}
  // Takes the version that a RolloutMessage::kSync from `source` announces; `order` is past its
  // kind and error. The result must not be written to; it stays unchanged until the answers tell
  // the sender that no rank needs it. Throws MachineError, naming this rank of the world and the
  // version, if the bytes do not have the checksum.
  PackedAdapters Take(int source, WireReader* order);

 private:
  at::Tensor Mapped(const std::string& place, const PackedAdapters& packed);
  void Tell(int source, bool send, const std::string& place);

  Communicator* world_;
  std::map<std::string, at::Tensor> mapped_;  // key: name of the shared memory
  SyncBuffers buffers_;
  std::map<int64_t, at::Tensor> received_;  // key: version; those that this host may still use
};

}  // namespace flame

#endif  // FLAME_ROLLOUT_ADAPTER_TRANSFER_H_
