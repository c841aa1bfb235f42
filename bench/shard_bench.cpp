// Times a step of learners that shard everything against learners that shard nothing, at the same
// batch for each rank, as JSON:
//   ninja -C build shard_bench && mpirun -np 2 build/bench/shard_bench
// With a file name as argument, it also writes the timeline of another sharded step there.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files/atomic_file.h"
#include "base/random.h"
#include "base/trace.h"
#include "bench/measure.h"
#include "comm/group.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"
#include "model/policy.h"
#include "trainer/optimizer/adamw.h"
#include "trainer/sharding/sharded_parameters.h"

namespace flame {
namespace {

constexpr int kRepeats = 5;

// Returns a Llama of 27 M parameters.
PolicyConfig MediumConfig() {
  PolicyConfig config;
  config.vocab_size = 2048, config.d_model = 512, config.num_layers = 8, config.d_ff = 1536;
  config.num_heads = 8, config.num_kv_heads = 4, config.head_dim = 64;
  return config;
}

Family DrawFamily(int rank) {
  RandomStream random(1, kInit, static_cast<uint32_t>(rank));
  const auto draw = [&](int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(static_cast<int32_t>(random.Below(2048)));
    }
    return tokens;
  };
  Family family{draw(512), {}};
  for (int64_t b = 0; b < 8; ++b) family.branches.push_back({draw(32), 0});
  return family;
}

// A policy in training, with its optimizer and batch.
struct Learner {
  Learner(Sharding sharding, Communicator* learners)
      : policy(Policy::Random(MediumConfig(), at::kFloat, 1)),
        parameters(&policy, policy.SelectTrainable("full"), {.policy = sharding}, learners),
        optimizer(parameters.shards(), {}),
        batch(PackFamilies({DrawFamily(learners->rank())})) {}

  void Step() {
    parameters.BeginUpdate();
    parameters.BeginPass();
    const at::Tensor hidden = policy.Hidden(batch, {});
    (-policy.LogProbs(hidden, batch.sources, batch.targets).mean()).backward();
    parameters.EndPass();
    parameters.FinishGradients();
    parameters.GradientNorm();
    optimizer.Update(parameters.gradients(), 1e-4);
    parameters.Publish();
  }

  Policy policy;
  ShardedParameters parameters;
  AdamW optimizer;
  FamilyBatch batch;
};

void Report(Communicator* learners, const std::string& trace) {
  Learner none(Sharding::kNone, learners), full(Sharding::kFull, learners);
  const auto step = [&](Learner* learner) {
    return [=] {
      learner->Step();
      learners->Barrier();
    };
  };
  const std::vector<double> seconds = MedianSeconds({step(&none), step(&full)}, kRepeats);
  if (learners->rank() == 0) {
    std::cout << nlohmann::json{{"what", "27 M parameters, float32, P=512 R=32 G=8 a rank"},
                                {"ranks", learners->size()},
                                {"threads", at::get_num_threads()},
                                {"none_seconds", seconds[0]},
                                {"full_seconds", seconds[1]},
                                {"ratio", seconds[1] / seconds[0]},
                                {"none_parameter_bytes", none.parameters.peak_parameter_bytes()},
                                {"full_parameter_bytes", full.parameters.peak_parameter_bytes()}}
              << std::endl;
  }
  if (trace.empty()) return;
  StartTrace();
  full.Step();
  std::string all;
  for (const std::string& events : GatherTexts(learners, TraceEvents(learners->rank()))) {
    all += (all.empty() ? "" : ",\n") + events;
  }
  if (learners->rank() == 0) WriteFileAtomically(trace, TraceFile(all));
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  at::set_num_threads(1);
  try {
    flame::MpiSession session(std::chrono::minutes(2));
    const auto world = session.World();
    flame::Report(world.get(), argc > 1 ? argv[1] : "");
  } catch (const std::exception& error) {
    flame::AbortJob(4, error.what());
  }
  return 0;
}
