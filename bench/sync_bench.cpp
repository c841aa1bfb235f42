// Times a sync of an 8B policy's adapters (Llama 3.1's widths, r = 32 on all seven maps: 84 M
// parameters, float32) from rank 0 to all others with the trainer's client and the workers'
// receiver, from the adapters' tensors until every rank has answered. Compares it with plain copies
// of the same bytes by as many ranks as there are cores. As JSON:
//   ninja -C build sync_bench && mpirun -np 9 --mca mpi_yield_when_idle 1 build/bench/sync_bench
// `reading` is one pass over the bytes on every rank, at the place where the sync put them.
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "rollout/adapter_transfer.h"
#include "rollout/protocol.h"

namespace flame {
namespace {

// The first two rounds fill the two buffers that take turns.
constexpr int kRounds = 7, kWarmUp = 2;

NamedTensors MakeAdapters() {
  constexpr int64_t kRank = 32, kModel = 4096, kKeys = 1024, kInner = 14336, kLayers = 32;
  const std::vector<std::pair<int64_t, int64_t>> maps = {
      {kModel, kModel}, {kModel, kKeys},  {kModel, kKeys}, {kModel, kModel},
      {kModel, kInner}, {kModel, kInner}, {kInner, kModel}};
  NamedTensors adapters;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (size_t m = 0; m < maps.size(); ++m) {
      const std::string name = StrCat("layers.", layer, ".", m, ".lora_");
      adapters[name + "A"] = at::empty({kRank, maps[m].first}, at::kFloat);
      adapters[name + "B"] = at::empty({maps[m].second, kRank}, at::kFloat);
    }
  }
  return adapters;
}

// Returns the seconds until every rank has run `action`.
template <class Action>
double SecondsOfAll(Communicator* world, const Action& action) {
  world->Barrier();
  const auto start = std::chrono::steady_clock::now();
  action();
  world->Barrier();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Returns written memory, in huge pages if the system has them, for the fastest copies.
at::Tensor PlainMemory(int64_t size) {
  const at::Tensor memory = at::empty({size}, at::kByte);
  constexpr uintptr_t kHugePage = 2 << 20;
  const auto begin = reinterpret_cast<uintptr_t>(memory.mutable_data_ptr());
  const uintptr_t from = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t to = (begin + static_cast<uintptr_t>(size)) / kHugePage * kHugePage;
  if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
  return memory.fill_(1);
}

// Takes one version and answers like a worker without a policy.
PackedAdapters TakeOne(AdapterReceiver* receiver, Communicator* world) {
  WireReader in(world->Receive(0, kRolloutRequestTag).bytes);
  in.Pod<RolloutMessage>();
  PackedAdapters packed = receiver->Take(0, &in);
  WireWriter out;
  out.Pod(RolloutMessage::kSync);
  out.Text("");
  out.Vector(std::vector<double>{});
  world->Send(out.Take(), 0, kRolloutReplyTag);
  return packed;
}

void CheckArrived(const PackedAdapters& packed, int round) {
  for (const auto& [name, tensor] : TensorsOf(packed)) {
    const float* values = tensor.const_data_ptr<float>();
    if (values[0] == round && values[tensor.numel() - 1] == round) continue;
    throw MachineError("round ", round, ": ", name, " begins with ", values[0], " and ends with ",
                       values[tensor.numel() - 1], "; expected ", round);
  }
}

// Rank 0's side, in the way of trainer/grpo/grpo.cpp. Returns the seconds of packing.
double SyncAll(int round, const NamedTensors& adapters, SyncBuffers* buffers,
               RolloutClient* client) {
  const auto start = std::chrono::steady_clock::now();
  PackedAdapters packed = PlacesFor(adapters, buffers->Next(PackedSize(EntriesOf(adapters))));
  for (const auto& [name, place] : TensorsOf(packed)) place.copy_(adapters.at(name));
  Seal(round, &packed);
  const std::chrono::duration<double> packing = std::chrono::steady_clock::now() - start;
  client->Sync({round, std::move(packed), /*canary=*/{}, at::kFloat});
  return packing.count();
}

struct Times {
  std::vector<double> sync, pack, read, copy;
};

void Report(const Times& times, int receivers, int copiers, double bytes) {
  const double delivered = bytes * receivers / Median(times.sync) / 1e9;
  const double copied = bytes * copiers / Median(times.copy) / 1e9;
  std::cout << nlohmann::json{{"what", "84 M adapter parameters, float32, to every rank"},
                              {"receivers", receivers},
                              {"megabytes", bytes / 1e6},
                              {"seconds", Median(times.sync)},
                              {"seconds_packing", Median(times.pack)},
                              {"seconds_reading", Median(times.read)},
                              {"delivered_gb_per_second", delivered},
                              {"copy_gb_per_second", copied},
                              {"copying_ranks", copiers},
                              {"ratio", delivered / copied}}
            << "\n";
}

void Run() {
  MpiSession session(std::chrono::seconds(120));
  const auto world = session.World();
  const auto in_step = world->Split(0);  // `world`'s messages belong to the client's thread
  const int rank = world->rank(), receivers = world->size() - 1;
  const int copiers = std::min(receivers, static_cast<int>(std::thread::hardware_concurrency()));
  const NamedTensors adapters = MakeAdapters();
  const int64_t size = PackedSize(EntriesOf(adapters));
  std::unique_ptr<RolloutClient> client;
  if (rank == 0) {
    std::vector<int> ranks;
    for (int r = 1; r <= receivers; ++r) ranks.push_back(r);
    client = MakeRemoteRolloutClient(
        world.get(), {ranks, [](int32_t) { return 1; }, false, std::chrono::minutes(1)});
  }
  const bool copies = rank > 0 && rank <= copiers;
  const at::Tensor from = PlainMemory(copies ? size : 0), to = PlainMemory(copies ? size : 0);
  SyncBuffers buffers;
  AdapterReceiver receiver(world.get());
  Times times;
  for (int round = 0; round < kRounds + kWarmUp; ++round) {
    PackedAdapters packed;
    double packing = 0;
    if (rank == 0) {
      for (const auto& [name, tensor] : adapters) at::Tensor(tensor).fill_(round);
    }
    const double synced = SecondsOfAll(in_step.get(), [&] {
      if (rank == 0) {
        packing = SyncAll(round, adapters, &buffers, client.get());
      } else {
        packed = TakeOne(&receiver, world.get());
      }
    });
    const double read = SecondsOfAll(in_step.get(), [&] {
      if (rank > 0) CheckBytes(packed, rank);
    });
    if (rank > 0) CheckArrived(packed, round);
    const double copied = SecondsOfAll(in_step.get(), [&] {
      if (copies) std::memcpy(to.mutable_data_ptr(), from.const_data_ptr(), to.nbytes());
    });
    if (round < kWarmUp) continue;
    times.sync.push_back(synced), times.pack.push_back(packing);
    times.read.push_back(read), times.copy.push_back(copied);
  }
  if (rank == 0) Report(times, receivers, copiers, static_cast<double>(size));
}

}  // namespace
}  // namespace flame

int main() {
  flame::Run();
  return 0;
}
