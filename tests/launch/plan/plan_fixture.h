// Trainings whose memory is first planned and then counted.
#ifndef FLAME_TESTS_LAUNCH_PLAN_PLAN_FIXTURE_H_
#define FLAME_TESTS_LAUNCH_PLAN_PLAN_FIXTURE_H_

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/random.h"
#include "launch/plan/memory.h"
#include "launch/run/tensor_memory.h"
#include "model/policy.h"
#include "trainer/micro_batch.h"
#include "trainer/sft/sft.h"

namespace flame {

struct PlanCase {
  Sharding sharding = Sharding::kNone;
  std::string trainable = "full";
  bool recompute = false, tie = true;
  double dropout = 0;
  at::ScalarType dtype = at::kFloat;
};

inline PolicyConfig PlanConfig(bool tie) {
  PolicyConfig c;
  c.vocab_size = 4096, c.d_model = 384, c.num_layers = 4, c.num_heads = 6, c.num_kv_heads = 2;
  c.head_dim = 64, c.d_ff = 1152, c.max_positions = 4096, c.tie_embeddings = tie;
  return c;
}

inline Family PlanFamily(int64_t example) {
  RandomStream random(11, kInit, static_cast<uint32_t>(example));
  const auto draw = [&](int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(random.Below(4096)));
    return tokens;
  };
  Family family{draw(256), {}};
  for (int b = 0; b < 16; ++b) family.branches.push_back({draw(48), /*loss_from=*/16});
  return family;
}

// Expects the planned peak within 10 % of the counted one. Trains two steps of one micro-batch per
// rank and counts from the making of the model on.
inline void ExpectPlanned(const PlanCase& plan, Communicator* learners,
                          const std::filesystem::path& folder) {
  const int64_t ranks = learners == nullptr ? 1 : learners->size();
  const int64_t before = TensorBytes();
  Policy policy = Policy::Random(PlanConfig(plan.tie), plan.dtype, 3);
  LoraOptions lora;
  lora.rank = 16, lora.dropout = plan.dropout;
  lora.targets = {"q_proj", "v_proj", "down_proj"};
  if (plan.trainable == "lora") policy.AddAdapters(lora, 5);
  SftJob job;
  job.label = "plan";
  job.policy = &policy;
  job.trainable = plan.trainable;
  job.num_examples = 4 * ranks;
  job.example = [](int64_t example, int64_t) { return SftExample{PlanFamily(example), {}}; };
  job.options.batch = 2 * ranks;
  job.options.token_budget = 8192;
  job.options.checkpoint_every = 1000;
  job.sharding.policy = plan.sharding;
  job.recompute = plan.recompute;
  job.folder = folder;
  job.learners = learners;

  PlannedModel model;
  model.config = policy.config();
  model.item_bytes = static_cast<int64_t>(c10::elementSize(plan.dtype));
  model.full = plan.trainable == "full";
  model.has_adapters = !model.full;
  model.lora = lora;
  PlannedLearners group{job.sharding, ranks};
  TrainingShape shape;
  shape.pass = ShapeOf(PackFamilies({PlanFamily(0), PlanFamily(1)}));
  shape.recompute = plan.recompute;
  shape.dropout = plan.dropout > 0;
  Ledger ledger;
  WalkUpdate(model, group, shape, &ledger);

  ResetPeakTensorBytes(at::kCPU);
  RunSft(job);
  const double counted = static_cast<double>(PeakTensorBytes() - before);
  // Scratch is memory that the host's collectives receive into, not tensors, so it is not counted.
  const double planned =
      static_cast<double>(ledger.peak() - ledger.at_peak()[static_cast<size_t>(Part::kScratch)]);
  const std::string name = NameOf(plan.sharding) + std::string(" ") + plan.trainable +
                           (plan.recompute ? " recompute" : "") + (plan.tie ? " tied" : "") +
                           (plan.dropout > 0 ? " dropout" : "") +
                           (plan.dtype == at::kBFloat16 ? " bfloat16" : "");
  if (learners == nullptr || learners->rank() == 0) {
    std::printf("%-36s %lld ranks: planned %.1f MB, counted %.1f MB, ratio %.3f\n", name.c_str(),
                static_cast<long long>(ranks), planned / 1e6, counted / 1e6, planned / counted);
    for (size_t p = 0; p < kNumParts; ++p) {
      std::printf("    %s %.1f", PartName(static_cast<Part>(p)),
                  static_cast<double>(ledger.at_peak()[p]) / 1e6);
    }
    std::printf("\n");
  }
  EXPECT_GT(counted, 100e6) << name;
  EXPECT_NEAR(planned / counted, 1, 0.1) << name;
}

inline void ExpectAllPlanned(Communicator* learners, const std::filesystem::path& folder) {
  int tag = 0;
  for (const Sharding sharding : {Sharding::kNone, Sharding::kFull}) {
    for (const std::string trainable : {"full", "lora"}) {
      for (const bool recompute : {false, true}) {
        ExpectPlanned({sharding, trainable, recompute, /*tie=*/sharding == Sharding::kNone},
                      learners, folder / std::to_string(tag++));
      }
    }
  }
}

}  // namespace flame

#endif  // FLAME_TESTS_LAUNCH_PLAN_PLAN_FIXTURE_H_
