// Measures a rank's arithmetic while two of a host's four ranks compute and the others wait for a
// message, as JSON:
//   ninja -C build rates_bench
//   mpirun -np 4 --mca mpi_yield_when_idle 1 build/bench/rates_bench 2
// learn: a GRPO learner's pass over one micro-batch (reference, forward, backward; adapters
// trained).
// complete: prompts and tokens of rollouts.
// bench/scaling/rates.py fits costs to both.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"
#include "launch/run/tensor_memory.h"
#include "model/policy.h"
#include "rollout/completion.h"

namespace flame {
namespace {

constexpr int kRounds = 2;
constexpr int64_t kVocab = 1024;

struct LearnShape {
  int64_t families, trunk, branches, tokens;
};
// Lengths that no vector's width divides, like those of real prompts.
constexpr LearnShape kLearn[] = {{4, 61, 4, 15},  {5, 101, 8, 31}, {2, 251, 8, 45},
                                 {4, 117, 8, 31}, {1, 771, 8, 30}, {7, 97, 4, 47}};

// A completion of one token comes from the prompts alone.
struct CompleteShape {
  int64_t prompts, trunk, members, tokens;
};
constexpr CompleteShape kComplete[] = {{1, 103, 4, 1},   {16, 117, 8, 1}, {24, 67, 4, 1},
                                       {2, 771, 4, 1},   {1, 61, 4, 31},  {4, 251, 4, 47},
                                       {8, 67, 8, 15},   {4, 117, 8, 31}, {12, 93, 4, 47},
                                       {16, 117, 8, 31}, {24, 61, 8, 23}, {8, 509, 8, 15}};

std::vector<int32_t> Draw(RandomStream* random, int64_t count) {
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random->Below(kVocab));
  return tokens;
}

Policy MakePolicy() {
  Policy policy = Policy::Random(PolicyPreset("small", kVocab), at::kFloat, 1);
  policy.AddAdapters({}, 1);
  policy.SelectTrainable("adapters");
  return policy;
}

// Counts weights as the plan does (launch/plan/estimate.h, MultipliedWeights).
nlohmann::json WeightsOf(const Policy& policy) {
  double frozen = 0, trainable = 0;
  for (const auto& [name, tensor] : policy.parameters()) {
    if (name.find(".layers.") == std::string::npos) continue;
    (tensor.requires_grad() ? trainable : frozen) += static_cast<double>(tensor.numel());
  }
  const PolicyConfig& c = policy.config();
  return {{"frozen", frozen},
          {"trainable", trainable},
          {"head", c.vocab_size * c.d_model},
          {"attention", c.num_heads * c.head_dim * c.num_layers}};
}

double Pairs(const LearnShape& s) {
  const auto p = static_cast<double>(s.trunk), r = static_cast<double>(s.tokens);
  const auto g = static_cast<double>(s.branches);
  return static_cast<double>(s.families) * (p * (p + 1) / 2 + g * (r * p + r * (r + 1) / 2));
}

// An action to time, and the first fields of its row.
struct Point {
  nlohmann::json row;
  std::function<void()> action;
};

// Returns the rows of all points with their seconds. Each round runs every point once, in turns, so
// that noise of the machine hits them all; a first round does not count. A time ends when the last
// rank is done, because a step's ranks wait for each other. The seconds are means over rounds,
// because a step adds up its interruptions too.
nlohmann::json Timed(const std::vector<Point>& points, Communicator* world) {
  std::vector<double> seconds(points.size());
  for (int round = 0; round <= kRounds; ++round) {
    for (size_t p = 0; p < points.size(); ++p) {
      world->Barrier();
      const auto start = std::chrono::steady_clock::now();
      points[p].action();
      world->Barrier();
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      if (round > 0) seconds[p] += passed.count() / kRounds;
    }
  }
  nlohmann::json rows;
  for (size_t p = 0; p < points.size(); ++p) {
    rows.push_back(points[p].row);
    rows.back()["seconds"] = seconds[p];
  }
  return rows;
}

Point Learn(const Policy& policy, const LearnShape& shape) {
  RandomStream random(1, kInit);
  std::vector<Family> families;
  for (int64_t f = 0; f < shape.families; ++f) {
    families.push_back({Draw(&random, shape.trunk), {}});
    for (int64_t b = 0; b < shape.branches; ++b) {
      families.back().branches.push_back({Draw(&random, shape.tokens), 0});
    }
  }
  const FamilyBatch batch = PackFamilies(families);
  const auto log_probs = [&policy, batch](const ForwardOptions& options, at::Tensor* entropy) {
    const at::Tensor hidden = policy.Hidden(batch, options);
    return policy.LogProbs(hidden, batch.sources, batch.targets, 1, entropy);
  };
  return {{{"tokens", batch.tokens.numel()},
           {"targets", batch.targets.numel()},
           {"pairs", Pairs(shape)}},
          [log_probs] {
            {
              const c10::NoGradGuard no_grad;
              log_probs({.adapters = false}, nullptr);
            }
            at::Tensor entropy;
            (-log_probs({.dropout_seed = 1}, &entropy).mean()).backward();
          }};
}

Point Complete(const Policy& policy, const CompleteShape& shape) {
  RandomStream random(2, kInit);
  std::vector<CompletionPrompt> prompts;
  for (int64_t p = 0; p < shape.prompts; ++p) prompts.push_back({Draw(&random, shape.trunk), p});
  CompletionOptions options;
  options.members = shape.members;
  options.max_tokens = shape.tokens;
  return {{{"prompts", shape.prompts},
           {"trunk", shape.trunk},
           {"members", shape.members},
           {"tokens", shape.tokens}},
          [&policy, prompts, options] { CompletePrompts(policy, prompts, options); }};
}

// Runs on every rank of `computing`.
void Measure(Communicator* computing, int ranks) {
  Policy policy = MakePolicy();
  std::vector<Point> learn, complete;
  for (const LearnShape& shape : kLearn) learn.push_back(Learn(policy, shape));
  for (const CompleteShape& shape : kComplete) complete.push_back(Complete(policy, shape));
  const nlohmann::json learned = Timed(learn, computing), completed = Timed(complete, computing);
  if (computing->rank() > 0) return;
  std::cout << nlohmann::json{{"what", "preset small, float32, a thread a rank"},
                              {"computing", computing->size()},
                              {"ranks", ranks},
                              {"weights", WeightsOf(policy)},
                              {"learn", learned},
                              {"complete", completed}}
            << "\n";
}

void Run(Communicator* world, int count) {
  constexpr int kDoneTag = 1;
  if (count < 1 || count > world->size()) {
    throw UsageError("expected 1 to ", world->size(), " ranks that compute, found ", count);
  }
  const bool computes = world->rank() < count;
  const auto computing = world->Split(computes ? 0 : 1);
  if (!computes) {
    world->Receive(0, kDoneTag);
    return;
  }
  Measure(computing.get(), world->size());
  if (world->rank() > 0) return;
  for (int rank = count; rank < world->size(); ++rank) world->Send("", rank, kDoneTag);
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  at::set_num_threads(1);
  flame::SetUpHeap();  // like flame: fresh pages cost time
  try {
    flame::MpiSession session(std::chrono::minutes(5));
    const auto world = session.World();
    flame::Run(world.get(), argc > 1 ? std::stoi(argv[1]) : world->size());
  } catch (const std::exception& error) {
    flame::AbortJob(4, error.what());
  }
  return 0;
}
