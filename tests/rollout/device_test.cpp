// Tests sampling and weight sync of a policy whose memory the host cannot read, against the CPU.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/fake_device/fake_device.h"
#include "tests/rollout/rollout_fixture.h"

namespace flame {
namespace {

class OnADevice : public RolloutFixture {
 protected:
  Policy MakeDevicePolicy() const {
    Policy policy = MakePolicy();
    policy.MoveTo(FakeDevice());
    return policy;
  }

  void ExpectSameLists(const LineTrie* lines) {
    Policy cpu = MakePolicy(), device = MakeDevicePolicy();
    RolloutContext context = MakeContext(&cpu);
    context.lines = lines;
    const std::vector<Group> expected = SampleGroups(context, AllTasks());
    context.policy = &device;
    const std::vector<Group> found = SampleGroups(context, AllTasks());
    ASSERT_EQ(found.size(), expected.size());
    for (size_t g = 0; g < expected.size(); ++g) {
      for (size_t m = 0; m < expected[g].members.size(); ++m) {
        const Trajectory &a = found[g].members[m], &b = expected[g].members[m];
        EXPECT_EQ(a.tokens, b.tokens) << g << " " << m;
        for (size_t t = 0; t < b.logprobs.size(); ++t) {
          EXPECT_NEAR(a.logprobs.at(t), b.logprobs[t], 1e-4);
        }
      }
    }
  }
};

TEST_F(OnADevice, SampledLists_AreTheCpus) { ExpectSameLists(nullptr); }

TEST_F(OnADevice, ConstrainedLists_AreTheCpus) {
  const LineTrie lines = DrugLines(*prompts_, 4);
  ExpectSameLists(&lines);
}

TEST_F(OnADevice, SyncedAdapters_ComeToAndFromTheDevice) {
  const Policy from = MakeDevicePolicy();
  Policy to = MakeDevicePolicy();
  for (const auto& [name, tensor] : AdaptersOf(to)) tensor.zero_();
  EXPECT_THROW(CheckCanary(CanaryLogProbs(from), CanaryLogProbs(to), at::kFloat, 1, 2),
               MachineError);
  LoadAdapters(TensorsOf(PackAdapters(2, AdaptersOf(from))), &to);
  for (const auto& [name, tensor] : AdaptersOf(from)) {
    EXPECT_TRUE(at::equal(AdaptersOf(to).at(name).cpu(), tensor.cpu())) << name;
  }
  EXPECT_EQ(CanaryLogProbs(from), CanaryLogProbs(to));
  CheckCanary(CanaryLogProbs(MakePolicy()), CanaryLogProbs(to), at::kFloat, 1, 2);
}

TEST_F(OnADevice, Worker_WritesAShard) {
  Policy policy = MakeDevicePolicy();
  RolloutWorker worker(MakeContext(&policy), rewards_.get());
  worker.Sync(0, AdaptersOf(policy));
  EXPECT_EQ(ReadShard(worker.Run(AllTasks()).shard).size(), 8u);
}

}  // namespace
}  // namespace flame
