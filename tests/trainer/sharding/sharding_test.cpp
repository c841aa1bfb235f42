// Learners that split parameters, gradients and optimizer state, compared with one learner that
// holds everything.
#include "trainer/sharding/sharding.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "comm/local_communicator.h"
#include "model/files/policy_files.h"
#include "model/shapes.h"
#include "tests/trainer/toy.h"
#include "trainer/sft/sft.h"
#include "trainer/sharding/sharded_parameters.h"
#include "trainer/training_run.h"

namespace flame {
namespace {

// Makes a policy of four blocks, with head and embedding tied or not.
Policy DeepPolicy(at::ScalarType dtype, bool tie) {
  PolicyConfig config = ToyPolicy(dtype).config();
  config.num_layers = 4;
  config.tie_embeddings = tie;
  return Policy::Random(config, dtype, 7);
}

// Returns a copy that shares no storage.
Policy Clone(const Policy& policy) {
  Policy copy = policy;
  for (auto& [name, tensor] : copy.parameters()) tensor = tensor.detach().clone();
  return copy;
}

Family ExampleFamily(int64_t example) {
  RandomStream random(11, kInit, static_cast<uint32_t>(example));
  const auto draw = [&](int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(random.Below(16)));
    return tokens;
  };
  Family family{draw(3 + example % 3), {}};
  for (int64_t b = 0; b <= example % 4; ++b) family.branches.push_back({draw(2 + b), 0});
  return family;
}

SftJob JobOf(Policy* policy, const std::string& trainable, const ShardingOptions& sharding,
             const std::filesystem::path& folder, Communicator* learners) {
  SftJob job;
  job.label = "toy";
  job.policy = policy;
  job.trainable = trainable;
  job.num_examples = 20;
  job.example = [](int64_t example, int64_t) { return SftExample{ExampleFamily(example), {}}; };
  job.options.batch = 8;
  job.options.epochs = 4;
  job.options.token_budget = 12;  // learners have different numbers of passes
  job.options.optimizer.warmup = 2;
  job.sharding = sharding;
  job.seed = 3;
  job.folder = folder;
  job.learners = learners;
  job.end = [folder, learners](const Policy& trained) {
    if (learners != nullptr && learners->rank() > 0) return JoinSavePolicy(trained);
    SavePolicy(trained, folder / "model");
  };
  return job;
}

void OnRanks(int size, const std::function<void(Communicator*)>& body) {
  auto group = MakeLocalGroup(size);
  std::vector<std::thread> threads;
  for (auto& rank : group) {
    threads.emplace_back([&body, &rank, size] { body(size == 1 ? nullptr : rank.get()); });
  }
  for (std::thread& thread : threads) thread.join();
}

struct Trained {
  Policy policy;  // the policy as saved
  std::vector<double> losses;
};

Trained Train(const Policy& start, const std::string& trainable, const ShardingOptions& sharding,
              int size) {
  static int tag = 0;  // gives every call a folder of its own
  const auto folder =
      FreshFolder(StrCat(trainable, tag++, NameOf(sharding.policy), sharding.reshard, size));
  SavePolicy(start, folder / "start");
  OnRanks(size, [&](Communicator* learners) {
    Policy policy = OpenPolicy(folder / "start", start.dtype());
    RunSft(JobOf(&policy, trainable, sharding, folder, learners));
  });
  Trained trained{LoadPolicy(folder / "model", start.dtype()), {}};
  for (const auto& row : MetricsRows(folder)) trained.losses.push_back(row.at("loss"));
  return trained;
}

const ShardingOptions kPolicies[] = {{Sharding::kNone, true, 0},
                                     {Sharding::kOptimizer, true, 0},
                                     {Sharding::kFull, true, 0},
                                     {Sharding::kFull, false, 0},
                                     {Sharding::kHybrid, true, 2}};

void ExpectAsOneRank(const Policy& start, const std::string& trainable) {
  const Trained one = Train(start, trainable, {}, 1);
  EXPECT_GT(MaxDifference(one.policy, start), 1e-4);
  for (const ShardingOptions& sharding : kPolicies) {
    for (const int size : {2, 4}) {
      const Trained many = Train(start, trainable, sharding, size);
      EXPECT_LT(MaxDifference(many.policy, one.policy), 1e-12) << NameOf(sharding.policy) << size;
      ASSERT_EQ(many.losses.size(), one.losses.size());
      for (size_t i = 0; i < one.losses.size(); ++i) {
        EXPECT_NEAR(many.losses[i], one.losses[i], 1e-12)
            << NameOf(sharding.policy) << size << " " << i;
      }
    }
  }
}

TEST(Sharding, EveryPolicyTrainingAllWeights_IsAsOneRank) {
  ExpectAsOneRank(DeepPolicy(at::kDouble, /*tie=*/false), "full");
  ExpectAsOneRank(DeepPolicy(at::kDouble, /*tie=*/true), "full");
}

TEST(Sharding, EveryPolicyTrainingAdapters_IsAsOneRank) {
  Policy start = DeepPolicy(at::kDouble, /*tie=*/false);
  LoraOptions lora;
  lora.dropout = 0.1;
  start.AddAdapters(lora, 5);
  ExpectAsOneRank(start, "adapters");
}

// Returns the bytes of a unit's trainable (`chosen`) or frozen tensors, laid out for `size` ranks.
int64_t LaidOutBytes(const Policy& policy, const NamedTensors& trainable, int64_t unit, bool chosen,
                     int size) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : policy.parameters()) {
    if (UnitOfParameter(name, policy.config()) == unit && trainable.contains(name) == chosen)
      tensors[name] = tensor;
  }
  return tensors.empty() ? 0 : LayOut(tensors, size).size * static_cast<int64_t>(sizeof(double));
}

TEST(Sharding, Full_HoldsItsShareAndTwoBlocks) {
  const Policy start = DeepPolicy(at::kDouble, /*tie=*/false);
  for (const std::string trainable : {"full", "adapters"}) {
    for (const int size : {2, 4}) {
      OnRanks(size, [&](Communicator* learners) {
        Policy policy = Clone(start);
        if (trainable == "adapters") policy.AddAdapters({}, 5);
        const NamedTensors chosen = policy.SelectTrainable(trainable);
        int64_t whole = 0, block = 0;
        for (const bool kind : {true, false}) {
          for (int64_t unit = 0; unit <= NormUnit(policy.config().num_layers); ++unit) {
            whole += LaidOutBytes(policy, chosen, unit, kind, size);
          }
          block += LaidOutBytes(policy, chosen, BlockUnit(0), kind, size);
        }
        ShardedParameters parameters(&policy, chosen, {Sharding::kFull, true, 0}, learners);
        for (int pass = 0; pass < 2; ++pass) {
          const FamilyBatch batch = PackFamilies({ExampleFamily(3)});
          parameters.BeginPass();
          policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets).sum().backward();
          parameters.EndPass();
        }
        EXPECT_LE(parameters.peak_parameter_bytes(), whole / size + 2 * block) << trainable << size;
        EXPECT_GT(parameters.peak_parameter_bytes(), whole / size);
      });
    }
  }
}

// Trains until `stop` steps are done (0: to the end). The steps of an epoch have 8, 8 and 4
// examples.
void TrainUntil(int64_t stop, int size, const Policy& start, const std::filesystem::path& folder) {
  const int64_t resumed = static_cast<int64_t>(MetricsRows(folder).size());
  OnRanks(size, [&](Communicator* learners) {
    Policy policy = Clone(start);
    SftJob job = JobOf(&policy, "full", {Sharding::kFull, true, 0}, folder, learners);
    job.options.checkpoint_every = 1;
    int64_t left = stop == 0 ? 1000 : 0;
    for (int64_t step = resumed; step < stop; ++step) left += (step % 3 == 2 ? 4 : 8) / size;
    job.example = [&left](int64_t example, int64_t) {
      if (left-- == 0) throw std::runtime_error("power cut");
      return SftExample{ExampleFamily(example), {}};
    };
    if (stop == 0) {
      RunSft(job);
    } else {
      EXPECT_THROW(RunSft(job), std::runtime_error);
    }
  });
}

TEST(Sharding, ResumedOnOtherCounts_GoesOnAsOneRank) {
  const Policy start = DeepPolicy(at::kDouble, /*tie=*/false);
  const Trained one = Train(start, "full", {}, 1);
  const auto folder = FreshFolder("resumed");
  TrainUntil(4, 1, start, folder);
  TrainUntil(9, 4, start, folder);
  TrainUntil(0, 2, start, folder);
  EXPECT_LT(MaxDifference(LoadPolicy(folder / "model", at::kDouble), one.policy), 1e-12);
  EXPECT_EQ(MetricsRows(folder).size(), one.losses.size());
}

TEST(Sharding, GradientNorm_IsThatOfTheWholeAndScales) {
  const Policy start = DeepPolicy(at::kDouble, /*tie=*/false);
  std::vector<double> norms;
  for (const int size : {1, 2}) {
    OnRanks(size, [&](Communicator* learners) {
      Policy policy = Clone(start);
      ShardedParameters parameters(&policy, policy.SelectTrainable("full"),
                                   {Sharding::kFull, true, 0}, learners);
      const FamilyBatch batch = PackFamilies({ExampleFamily(3)});
      parameters.BeginUpdate();
      parameters.BeginPass();
      (policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets).sum() / size)
          .backward();
      parameters.EndPass();
      parameters.FinishGradients();
      const double norm = parameters.GradientNorm();
      parameters.ScaleGradients(0.5);
      EXPECT_NEAR(parameters.GradientNorm(), norm / 2, 1e-12);
      if (learners == nullptr || learners->rank() == 0) norms.push_back(norm);
    });
  }
  EXPECT_NEAR(norms[0], norms[1], 1e-12);
}

TEST(Sharding, NothingToTrainOrUnevenGroups_AreRefused) {
  Policy policy = ToyPolicy(at::kFloat);
  EXPECT_THROW(ShardedParameters(&policy, {}, {}, nullptr), UsageError);
  OnRanks(3, [](Communicator* learners) {
    EXPECT_THROW(ShardGroups({Sharding::kHybrid, true, 2}, at::kCPU, learners, nullptr),
                 UsageError);
  });
}

}  // namespace
}  // namespace flame
