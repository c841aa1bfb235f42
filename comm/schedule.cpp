#include "comm/schedule.h"

#include <functional>
#include <memory>

#include "comm/reduce.h"

namespace flame {
namespace {

// Below this size a second phase costs more than the bytes it saves.
constexpr size_t kWholeBytes = 16 << 10;

using ShareStart = std::function<int64_t(int)>;  // share r is [start(r), start(r + 1))

char* BytesOf(const at::Tensor& tensor) { return static_cast<char*>(tensor.data_ptr()); }

ShareStart EvenShares(int64_t total, int size) {
  return [total, size](int rank) { return total * rank / size; };
}

Phase ForEachPeer(Place place, const std::function<void(Lane*)>& fill) {
  Phase phase;
  // Starting with the next rank spreads the load over the receivers.
  for (int i = 1; i < place.size; ++i) {
    Lane lane;
    lane.peer = (place.rank + i) % place.size;
    fill(&lane);
    phase.lanes.push_back(lane);
  }
  return phase;
}

// Makes `phase` reduce all parts into `out` once its lanes are done. They fill `scratch` with the
// part of rank r at element r * num_elements; this rank's own part lies at `own`.
void ThenReduce(Phase* phase, Place place, const at::Tensor& like, ReduceOp op,
                std::shared_ptr<char[]> scratch, const char* own, int64_t num_elements, char* out) {
  const auto dtype = like.scalar_type();
  const size_t stride = num_elements * like.itemsize();
  phase->then = [=] {
    std::vector<const void*> parts(place.size);
    for (int r = 0; r < place.size; ++r) {
      parts[r] = r == place.rank ? own : scratch.get() + r * stride;
    }
    ReduceInOrder(dtype, op, parts, num_elements, out);
  };
}

std::shared_ptr<char[]> Scratch(size_t num_bytes) {
  return std::make_shared_for_overwrite<char[]>(num_bytes);
}

// Sends share r of `input` to rank r and reduces this rank's share of all inputs into `out`.
Phase ReduceShares(Place place, const at::Tensor& input, const ShareStart& start, ReduceOp op,
                   char* out) {
  const size_t item = input.itemsize();
  const int64_t count = start(place.rank + 1) - start(place.rank);
  auto scratch = Scratch(place.size * count * item);
  Phase phase = ForEachPeer(place, [&](Lane* lane) {
    lane->send = BytesOf(input) + start(lane->peer) * item;
    lane->send_bytes = (start(lane->peer + 1) - start(lane->peer)) * item;
    lane->receive = scratch.get() + lane->peer * count * item;
    lane->receive_bytes = count * item;
  });
  ThenReduce(&phase, place, input, op, scratch, BytesOf(input) + start(place.rank) * item, count,
             out);
  return phase;
}

// Fills a lane of the phase in which every rank sends its own share of `base` to all.
void ExchangeShares(Place place, char* base, const ShareStart& start, size_t item, Lane* lane) {
  lane->send = base + start(place.rank) * item;
  lane->send_bytes = (start(place.rank + 1) - start(place.rank)) * item;
  lane->receive = base + start(lane->peer) * item;
  lane->receive_bytes = (start(lane->peer + 1) - start(lane->peer)) * item;
}

// Returns the root's lanes to all other ranks, or another rank's lane to the root. Rank r gets
// bytes [start(r), start(r) + bytes(r)).
Phase FromRoot(Place place, char* base, int root, const ShareStart& start,
               const ShareStart& bytes) {
  Phase phase = ForEachPeer(place, [&](Lane* lane) {
    if (place.rank == root) {
      lane->send = base + start(lane->peer);
      lane->send_bytes = bytes(lane->peer);
    } else {
      lane->receive = base + start(place.rank);
      lane->receive_bytes = bytes(place.rank);
    }
  });
  if (place.rank != root) {
    std::erase_if(phase.lanes, [&](const Lane& lane) { return lane.peer != root; });
  }
  return phase;
}

}  // namespace

Phase SpreadToAll(Place place, const void* from, size_t num_bytes, char* to) {
  return ForEachPeer(place, [&](Lane* lane) {
    lane->send = from;
    lane->send_bytes = num_bytes;
    lane->receive = to + lane->peer * num_bytes;
    lane->receive_bytes = num_bytes;
  });
}

std::vector<Phase> AllReducePhases(Place place, const at::Tensor& tensor, ReduceOp op) {
  char* base = BytesOf(tensor);
  if (tensor.nbytes() <= kWholeBytes || place.size == 1) {
    auto scratch = Scratch(place.size * tensor.nbytes());
    Phase phase = SpreadToAll(place, base, tensor.nbytes(), scratch.get());
    ThenReduce(&phase, place, tensor, op, scratch, base, tensor.numel(), base);
    return {phase};
  }
  const auto start = EvenShares(tensor.numel(), place.size);
  const size_t item = tensor.itemsize();
  return {ReduceShares(place, tensor, start, op, base + start(place.rank) * item),
          ForEachPeer(place, [&](Lane* lane) { ExchangeShares(place, base, start, item, lane); })};
}

std::vector<Phase> ReduceScatterPhases(Place place, const at::Tensor& output,
                                       const at::Tensor& input, ReduceOp op) {
  const int64_t n = output.numel();
  return {ReduceShares(
      place, input, [n](int rank) { return n * rank; }, op, BytesOf(output))};
}

std::vector<Phase> BroadcastPhases(Place place, const at::Tensor& tensor, int root) {
  char* base = BytesOf(tensor);
  const int64_t num_bytes = tensor.nbytes();
  if (tensor.nbytes() <= kWholeBytes || place.size <= 2) {
    return {FromRoot(
        place, base, root, [](int) { return 0; }, [num_bytes](int) { return num_bytes; })};
  }
  const auto start = EvenShares(num_bytes, place.size);
  Phase exchange = ForEachPeer(place, [&](Lane* lane) {
    ExchangeShares(place, base, start, 1, lane);
    lane->sends = lane->peer != root;
    lane->receives = place.rank != root;
  });
  return {FromRoot(place, base, root, start,
                   [start](int rank) { return start(rank + 1) - start(rank); }),
          exchange};
}

}  // namespace flame
