#include "rollout/adapter_transfer.h"

#include "base/error.h"
#include "base/log.h"
#include "comm/shared_memory.h"
#include "comm/watchdog.h"
#include "rollout/protocol.h"

namespace flame {

at::Tensor SyncBuffers::Next(int64_t size) {
  // Returns views, because a copy of the tensor would not raise its storage's use count.
  for (const at::Tensor& buffer : buffers_) {
    if (buffer.storage().use_count() == 1) return buffer.narrow(0, 0, size);
  }
  buffers_.push_back(SyncBuffer(size));
  return buffers_.back().narrow(0, 0, size);
}

std::pair<int64_t, std::string> AdapterSender::KeyOf(const PackedAdapters& packed, int rank) const {
  return {packed.version, HostOf(world_->WorldRank(rank))};
}

bool AdapterSender::Order(const PackedAdapters& packed, int64_t oldest, int rank) {
  copies_.erase(copies_.begin(), copies_.lower_bound({oldest, ""}));
  std::string place;
  bool checked = false;
  if (!alone_.contains(rank)) {
    const auto key = KeyOf(packed, rank);
    const auto [at, first] = copies_.try_emplace(key);
    Copy& copy = at->second;
    if (first) {
      copy.taker = rank;
      if (key == KeyOf(packed, world_->rank())) copy.place = SharedNameOf(packed.bytes);
    } else if (!copy.taken) {
      return false;
    }
    place = copy.place;
    checked = !first && !place.empty();
  }
  WireWriter out;
  out.Pod(RolloutMessage::kSync);
  WriteHeader(packed, &out);
  out.Pod(oldest);
  out.Text(place);
  out.Pod(checked);
  world_->Send(out.Take(), rank, kRolloutRequestTag);
  if (place.empty()) Send(packed, rank);
  return true;
}

void AdapterSender::Hear(int rank, const PackedAdapters& packed, WireReader* note) {
  const bool send = note->Pod<bool>();
  const std::string place = note->Text();
  const auto copy = copies_.find(KeyOf(packed, rank));
  const bool taker = copy != copies_.end() && copy->second.taker == rank;
  if (send) {
    alone_.insert(rank);
    if (taker) copies_.erase(copy);
    Send(packed, rank);
  } else if (taker) {
    copy->second.taken = true;
    copy->second.place = place;
  }
}

void AdapterSender::End(int rank) {
  for (const auto& transfer : transfers_[rank]) transfer->Wait();
  transfers_.erase(rank);
}

void AdapterSender::Send(const PackedAdapters& packed, int rank) {
  transfers_[rank] = SendBytes(packed, rank, world_);
}

PackedAdapters AdapterReceiver::Take(int source, WireReader* order) {
  PackedAdapters packed = ReadHeader(order);
  const auto oldest = order->Pod<int64_t>();
  std::string place = order->Text();
  const bool checked = order->Pod<bool>();
  received_.erase(received_.begin(), received_.lower_bound(oldest));
  if (!place.empty()) packed.bytes = Mapped(place, packed);
  if (packed.bytes.defined()) {
    if (!checked) CheckBytes(packed, world_->rank());
  } else {
    if (!place.empty()) Tell(source, /*send=*/true, "");
    packed.bytes = buffers_.Next(PackedSize(packed.entries));
    ReceiveBytes(source, world_, &packed);
    received_[packed.version] = packed.bytes;
    place = SharedNameOf(packed.bytes);
  }
  if (!checked) Tell(source, /*send=*/false, place);
  return packed;
}

at::Tensor AdapterReceiver::Mapped(const std::string& place, const PackedAdapters& packed) {
  at::Tensor& memory = mapped_[place];
  if (memory.defined()) return memory;
  try {
    memory = MapShared(place, PackedSize(packed.entries));
  } catch (const MachineError& error) {
    LogWarning("rollout ", RankName(world_->WorldRank(world_->rank())),
               " cannot map the adapters of syncs and gets them as messages: ", error.what());
  }
  return memory;
}

void AdapterReceiver::Tell(int source, bool send, const std::string& place) {
  WireWriter out;
  out.Pod(RolloutMessage::kTaking);
  out.Text("");
  out.Pod(send);
  out.Text(place);
  world_->Send(out.Take(), source, kRolloutReplyTag);
}

}  // namespace flame
