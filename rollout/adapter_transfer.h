// The adapters' way to the rollout ranks: one copy a host, in memory that its ranks share. The
// first of a host to be free takes a version: on the sender's host it checks the bytes where they
// were packed, on another it receives them by message and checks them. The others are then told
// where they lie and use them there. A rank that cannot map that memory gets a message of its own.
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

// Buffers for versions of the adapters, all of one size.
class SyncBuffers {
 public:
  // One that no tensor but this object's own uses any more, or a new one.
  at::Tensor Next(int64_t size);

 private:
  std::vector<at::Tensor> buffers_;
};

// On the sender. A version's bytes stay as they are while any rank may use them.
class AdapterSender {
 public:
  explicit AdapterSender(Communicator* world) : world_(world) {}
  // Orders `rank` to take the version; false, with nothing sent, while another of its host is still
  // taking it. Versions before `oldest` are used by no rank any more.
  bool Order(const PackedAdapters& packed, int64_t oldest, int rank);
  // A RolloutMessage::kTaking of `rank`, after its kind and error.
  void Hear(int rank, const PackedAdapters& packed, WireReader* note);
  // `rank` has taken what it was ordered to.
  void End(int rank);

 private:
  // Of a version on a host.
  struct Copy {
    int taker = -1;
    bool taken = false;
    std::string place;  // for MapShared; "": the taker's own
  };
  void Send(const PackedAdapters& packed, int rank);
  std::pair<int64_t, std::string> KeyOf(const PackedAdapters& packed, int rank) const;

  Communicator* world_;
  std::map<std::pair<int64_t, std::string>, Copy> copies_;  // by version and host
  std::set<int> alone_;                                     // could not map what they were told to
  std::map<int, std::vector<std::unique_ptr<Work>>> transfers_;  // to a rank
};

// On a rollout rank.
class AdapterReceiver {
 public:
  // A RolloutMessage::kSync of `source`, after its kind. What it returns may be read only; it stays
  // as it is until the sender is told by the answers that no rank needs it. MachineError naming
  // this rank of the world and the version where the checksum is not that of the bytes.
  explicit AdapterReceiver(Communicator* world) : world_(world) {}
  PackedAdapters Take(int source, WireReader* order);

 private:
  at::Tensor Mapped(const std::string& place, const PackedAdapters& packed);
  void Tell(int source, bool send, const std::string& place);

  Communicator* world_;
  std::map<std::string, at::Tensor> mapped_;  // by name
  SyncBuffers buffers_;
  std::map<int64_t, at::Tensor> received_;  // versions that this host may still use
};

}  // namespace flame

#endif  // FLAME_ROLLOUT_ADAPTER_TRANSFER_H_
