// Trainings whose memory is planned and then counted.
#ifndef FLAME_TESTS_LAUNCH_PLAN_FIXTURE_H_
#define FLAME_TESTS_LAUNCH_PLAN_FIXTURE_H_

#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/random.h"
#include "launch/plan_memory.h"
#include "model/policy.h"
#include "trainer/micro_batch.h"
#include "trainer/sft.h"

namespace flame {

// Counts the bytes of all tensors on the CPU, exactly: the process's resident memory has the
// libraries, the heap's holes and pages never touched in it.
class CountingAllocator : public at::Allocator {
 public:
  // In front of the default one from the first call on.
  static CountingAllocator& Get() {
    static CountingAllocator* allocator = [] {
      auto* made = new CountingAllocator(c10::GetCPUAllocator());
      c10::SetCPUAllocator(made, /*priority=*/1);
      return made;
    }();
    return *allocator;
  }
  at::DataPtr allocate(size_t bytes) override {
    void* data = inner_->raw_allocate(bytes);
    const int64_t now = now_ += static_cast<int64_t>(bytes);
    int64_t peak = peak_;
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
    const std::lock_guard lock(mutex_);
    if (data == nullptr) return {nullptr, at::Device(at::kCPU)};
    sizes_[data] = static_cast<int64_t>(bytes);
    return {data, data, &Delete, at::Device(at::kCPU)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &Delete; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  int64_t now() const { return now_; }
  int64_t peak() const { return peak_; }
  void ResetPeak() { peak_ = now_.load(); }

 private:
  explicit CountingAllocator(at::Allocator* inner) : inner_(inner) {}
  static void Delete(void* data) {
    if (data == nullptr) return;
    CountingAllocator& own = Get();
    {
      const std::lock_guard lock(own.mutex_);
      own.now_ -= own.sizes_.extract(data).mapped();
    }
    own.inner_->raw_deallocate(data);
  }
  at::Allocator* inner_;
  std::mutex mutex_;
  std::unordered_map<void*, int64_t> sizes_;
  std::atomic<int64_t> now_ = 0, peak_ = 0;
};

struct PlanCase {
  std::string sharding = "none", trainable = "full";
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

// Trains two steps of one micro-batch a rank; the peak is counted from the model on.
inline void ExpectPlanned(const PlanCase& plan, Communicator* learners,
                          const std::filesystem::path& folder) {
  CountingAllocator& counter = CountingAllocator::Get();
  const int64_t ranks = learners == nullptr ? 1 : learners->size();
  const int64_t before = counter.now();
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

  counter.ResetPeak();
  RunSft(job);
  const double counted = static_cast<double>(counter.peak() - before);
  // The host's collectives receive into memory that is no tensor's.
  const double planned =
      static_cast<double>(ledger.peak() - ledger.at_peak()[static_cast<size_t>(Part::kScratch)]);
  const std::string name = plan.sharding + " " + plan.trainable +
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
  for (const std::string sharding : {"none", "full"}) {
    for (const std::string trainable : {"full", "lora"}) {
      for (const bool recompute : {false, true}) {
        ExpectPlanned({sharding, trainable, recompute, /*tie=*/sharding == "none"}, learners,
                      folder / std::to_string(tag++));
      }
    }
  }
}

}  // namespace flame

#endif  // FLAME_TESTS_LAUNCH_PLAN_FIXTURE_H_
