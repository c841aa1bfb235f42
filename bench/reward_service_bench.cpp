// Measures states that a reward rank scores a second for a rollout rank, through the service, as
// JSON:
//   ninja -C build reward_service_bench && mpirun -np 2 build/bench/reward_service_bench
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/reward_case.h"
#include "comm/mpi_communicator.h"

namespace flame {
namespace {

constexpr int64_t kLines = 20, kGroups = 32, kRounds = 50;

void Ask(Communicator* world, const Corpus& corpus, const Tokenizer& tokenizer) {
  const auto client = MakeRemoteRewardClient(world, {1}, std::chrono::seconds(60));
  std::vector<ScoreRequest> requests;
  for (uint64_t g = 0; g < kGroups; ++g) {
    requests.push_back(MakeGroup(corpus, tokenizer, kLines, g));
  }
  client->Score(requests);
  int64_t states = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int64_t round = 0; round < kRounds; ++round) {
    for (const auto& group : client->Score(requests)) {
      for (const Verdict& verdict : group) states += static_cast<int64_t>(verdict.phi.size());
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  StopServingRewards(world, {1});
  std::cout << nlohmann::json{{"what", "151 drugs, 32 groups of 8 lists of 20 lines a request"},
                              {"ranks", 2},
                              {"states", states},
                              {"seconds", seconds.count()},
                              {"states_per_second", static_cast<double>(states) / seconds.count()}}
            << "\n";
}

void Run() {
  MpiSession session(std::chrono::seconds(60));
  const auto world = session.World();
  const Corpus corpus = MakeCorpus();
  const Tokenizer tokenizer = MakeTokenizer(corpus);
  if (world->rank() == 0) {
    Ask(world.get(), corpus, tokenizer);
  } else {
    ServeRewards(world.get(), Scorer(corpus, tokenizer, tokenizer.eos_id(), {}),
                 std::chrono::seconds(60));
  }
}

}  // namespace
}  // namespace flame

int main() {
  flame::Run();
  return 0;
}
