// A sync of the adapters of an 8B policy (Llama 3.1's widths, r = 32 on all seven maps: 84 M
// parameters, float32) from rank 0 to all others, beside plain copies of the same bytes by as many
// ranks as there are cores, as JSON:
//   ninja -C build sync_bench && mpirun -np 9 --mca mpi_yield_when_idle 1 build/bench/sync_bench
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/mpi_communicator.h"
#include "rollout/weight_sync.h"

namespace flame {
namespace {

constexpr int kRounds = 7;

NamedTensors MakeAdapters() {
  constexpr int64_t kRank = 32, kModel = 4096, kKeys = 1024, kInner = 14336, kLayers = 32;
  const std::vector<std::pair<int64_t, int64_t>> maps = {
      {kModel, kModel}, {kModel, kKeys},  {kModel, kKeys}, {kModel, kModel},
      {kModel, kInner}, {kModel, kInner}, {kInner, kModel}};
  NamedTensors adapters;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (size_t m = 0; m < maps.size(); ++m) {
      const std::string name = StrCat("layers.", layer, ".", m, ".lora_");
      adapters[name + "A"] = at::ones({kRank, maps[m].first});
      adapters[name + "B"] = at::ones({maps[m].second, kRank});
    }
  }
  return adapters;
}

// Seconds until every rank has run `action`.
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

void Run() {
  MpiSession session(std::chrono::seconds(120));
  const auto world = session.World();
  const int rank = world->rank(), receivers = world->size() - 1;
  const int copiers = std::min(receivers, static_cast<int>(std::thread::hardware_concurrency()));
  NamedTensors adapters;
  PackedAdapters packed;
  if (rank == 0) {
    adapters = MakeAdapters();
    packed = PackAdapters(0, adapters);
  }
  if (rank > 0) packed.entries = EntriesOf(MakeAdapters());
  const int64_t size = rank == 0 ? 0 : PackedSize(packed.entries);
  if (rank > 0) packed.bytes = SyncBuffer(size).fill_(1);
  const at::Tensor copy = SyncBuffer(rank > copiers ? 0 : size).fill_(1);
  std::vector<double> sync, pack, plain;
  for (int round = 0; round <= kRounds; ++round) {
    double packing = 0;
    const double synced = SecondsOfAll(world.get(), [&] {
      if (rank == 0) {
        const auto start = std::chrono::steady_clock::now();
        for (const auto& [name, place] : TensorsOf(packed)) place.copy_(adapters.at(name));
        Seal(round, &packed);
        packing = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        WireWriter header;
        WriteHeader(packed, &header);
        const std::string text = header.Take();
        std::vector<std::unique_ptr<Work>> works;
        for (int r = 1; r <= receivers; ++r) {
          world->Send(text, r, 1);
          for (auto& work : SendBytes(packed, r, world.get())) works.push_back(std::move(work));
        }
        for (const auto& work : works) work->Wait();
      } else {
        WireReader in(world->Receive(0, 1).bytes);
        at::Tensor place = packed.bytes;
        packed = ReadHeader(&in);
        packed.bytes = place;
        ReceiveBytes(0, world.get(), &packed);
      }
    });
    const double copied = SecondsOfAll(world.get(), [&] {
      if (rank > 0 && rank <= copiers) {
        std::memcpy(copy.mutable_data_ptr(), packed.bytes.const_data_ptr(), copy.nbytes());
      }
    });
    if (round == 0) continue;
    sync.push_back(synced), pack.push_back(packing), plain.push_back(copied);
  }
  if (rank != 0) return;
  const double bytes = static_cast<double>(packed.bytes.nbytes());
  const double delivered = bytes * receivers / Median(sync) / 1e9;
  const double copied = bytes * copiers / Median(plain) / 1e9;
  std::cout << nlohmann::json{{"what", "84 M adapter parameters, float32, to every rank"},
                              {"receivers", receivers},
                              {"megabytes", bytes / 1e6},
                              {"seconds", Median(sync)},
                              {"seconds_packing", Median(pack)},
                              {"delivered_gb_per_second", delivered},
                              {"copy_gb_per_second", copied},
                              {"copying_ranks", copiers},
                              {"ratio", delivered / copied}}
            << "\n";
}

}  // namespace
}  // namespace flame

int main() {
  flame::Run();
  return 0;
}
