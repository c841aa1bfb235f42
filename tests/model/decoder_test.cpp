#include "model/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

// Returns the oracle's logits after a sequence, [V].
at::Tensor ExpectedLogits(const Policy& policy, double lora_scale, std::vector<int32_t> tokens,
                          const std::vector<int32_t>& branch, size_t length) {
  const at::NoGradGuard no_grad;
  tokens.insert(tokens.end(), branch.begin(), branch.begin() + static_cast<int64_t>(length));
  const at::Tensor hidden = Oracle(policy, lora_scale).Hidden(tokens);
  return at::matmul(hidden[hidden.size(0) - 1],
                    policy.parameters().at("model.embed_tokens.weight").t())
      .to(at::kFloat);
}

// Decodes the branches of `families` with few slots and places and checks the logits of every step.
// A slot takes the next branch once its own has all its tokens; a place takes the next trunk once
// its branches are done.
class Batch {
 public:
  Batch(const Policy& policy, double lora_scale, const std::vector<Family>& families,
        const DecoderShape& shape, double tolerance, bool static_steps = false)
      : policy_(policy),
        lora_scale_(lora_scale),
        families_(families),
        decoder_(static_steps ? Decoder(policy, shape, nullptr) : Decoder(policy, shape)),
        slots_(shape.slots),
        places_(shape.places, -1),
        tolerance_(tolerance) {}

  // Returns how many rows each step had.
  std::vector<size_t> Run() {
    std::vector<size_t> sizes;
    while (true) {
      Admit();
      std::vector<int64_t> rows, tokens;
      std::vector<at::Tensor> expected;
      // Goes from the last slot to the first, so that a row's index is not its slot's.
      for (size_t s = slots_.size(); s-- > 0;) {
        Slot& slot = slots_[s];
        if (slot.family < 0) continue;
        const Family& family = families_[slot.family];
        const std::vector<int32_t>& branch = family.branches[slot.branch].tokens;
        rows.push_back(static_cast<int64_t>(s));
        tokens.push_back(branch[slot.length++]);
        expected.push_back(ExpectedLogits(policy_, lora_scale_, family.trunk, branch, slot.length));
        if (slot.length == branch.size()) slot.family = -1;
      }
      if (rows.empty()) return sizes;
      sizes.push_back(rows.size());
      EXPECT_LT(Difference(decoder_.Step(rows, tokens), at::stack(expected)), tolerance_)
          << "in step " << sizes.size();
    }
  }

 private:
  struct Slot {
    int64_t family = -1;
    size_t branch = 0, length = 0;
  };

  void Admit() {
    for (size_t s = 0; s < slots_.size(); ++s) {
      if (slots_[s].family >= 0 || next_family_ == static_cast<int64_t>(families_.size())) continue;
      const int64_t place = PlaceOfNext();
      if (place < 0) return;
      slots_[s] = {next_family_, next_branch_++, 0};
      decoder_.Begin(static_cast<int64_t>(s), place);
      if (next_branch_ < families_[next_family_].branches.size()) continue;
      ++next_family_;
      next_branch_ = 0;
    }
  }

  bool IsLive(int64_t family) const {
    for (const Slot& slot : slots_) {
      if (family >= 0 && slot.family == family) return true;
    }
    return false;
  }

  int64_t PlaceOfNext() {
    int64_t free = -1;
    for (size_t p = 0; p < places_.size(); ++p) {
      if (places_[p] == next_family_) return static_cast<int64_t>(p);
      if (!IsLive(places_[p])) free = static_cast<int64_t>(p);
    }
    if (free < 0) return -1;
    places_[free] = next_family_;
    const Family& family = families_[next_family_];
    const at::Tensor first = decoder_.Prefill({free}, {family.trunk});
    EXPECT_LT(Difference(first[0], ExpectedLogits(policy_, lora_scale_, family.trunk, {}, 0)),
              tolerance_);
    return free;
  }

  const Policy& policy_;
  double lora_scale_;
  const std::vector<Family>& families_;
  Decoder decoder_;
  std::vector<Slot> slots_;
  std::vector<int64_t> places_;  // family in each place
  int64_t next_family_ = 0;
  size_t next_branch_ = 0;
  double tolerance_;
};

// Trunks inside a block of keys, of exactly one block and over two; one branch needs a second
// block.
std::vector<Family> SomeFamilies() {
  return {MakeFamily(7, {6, 2, 6}, 37, 1), MakeFamily(64, {3, 70}, 37, 2),
          MakeFamily(1, {5}, 37, 3), MakeFamily(130, {1, 2, 9, 4, 4}, 37, 4)};
}

TEST(Decoder, BranchesOfManyLengths_MatchOracle) {
  const auto families = SomeFamilies();
  const DecoderShape shape = {.slots = 4, .places = 2, .trunk_tokens = 130, .max_tokens = 70};
  const std::vector<size_t> sizes = Batch(TestPolicy(at::kDouble), 0, families, shape, 1e-7).Run();
  // The decoder is full at first and has one row left at the end.
  ASSERT_FALSE(sizes.empty());
  EXPECT_EQ(sizes.front(), 4u);
  EXPECT_EQ(sizes.back(), 1u);
  Batch(TestPolicy(at::kFloat), 0, families, shape, 1e-5).Run();
}

TEST(Decoder, OneSlotOrOneForEach_MatchOracle) {
  const auto families = SomeFamilies();
  const Policy policy = TestPolicy(at::kDouble);
  Batch(policy, 0, families, {.slots = 1, .places = 1, .trunk_tokens = 130, .max_tokens = 70}, 1e-7)
      .Run();
  Batch(policy, 0, families, {.slots = 11, .places = 4, .trunk_tokens = 150, .max_tokens = 100},
        1e-7)
      .Run();
}

TEST(Decoder, StaticSteps_MatchOracle) {
  const auto families = SomeFamilies();
  const Policy policy = TestPolicy(at::kDouble);
  DecoderShape shape = {.slots = 4, .places = 2, .trunk_tokens = 130, .max_tokens = 70};
  Batch(policy, 0, families, shape, 1e-7, /*static_steps=*/true).Run();
  shape.slots = 11, shape.places = 4, shape.group = 5;
  Batch(policy, 0, families, shape, 1e-7, /*static_steps=*/true).Run();
}

TEST(Decoder, Adapters_AreUsed) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestAdapters(&policy);
  Policy merged = policy;
  merged.MergeAdapters();
  // The oracle uses merged weights, the decoder adapters.
  const std::vector<int32_t> trunk = {1, 2, 3};
  Decoder decoder(policy, {.slots = 1, .places = 1, .trunk_tokens = 3, .max_tokens = 1});
  const at::Tensor first = decoder.Prefill({0}, {trunk});
  EXPECT_LT(Difference(first[0], ExpectedLogits(merged, 0, trunk, {}, 0)), 1e-7);
  decoder.Begin(0, 0);
  EXPECT_LT(Difference(decoder.Step({0}, {5})[0], ExpectedLogits(merged, 0, trunk, {5}, 1)), 1e-7);
}

TEST(Decoder, TrunksTogether_SameLogitsAsAlone) {
  const Policy policy = TestPolicy(at::kDouble);
  const auto families = SomeFamilies();
  const DecoderShape shape = {.slots = 1, .places = 3, .trunk_tokens = 130, .max_tokens = 1};
  Decoder decoder(policy, shape);
  const at::Tensor together = decoder.Prefill({2, 0}, {families[3].trunk, families[0].trunk});
  EXPECT_LT(Difference(together[0], ExpectedLogits(policy, 0, families[3].trunk, {}, 0)), 1e-7);
  EXPECT_LT(Difference(together[1], ExpectedLogits(policy, 0, families[0].trunk, {}, 0)), 1e-7);
  decoder.Begin(0, 2);
  EXPECT_LT(
      Difference(decoder.Step({0}, {4})[0], ExpectedLogits(policy, 0, families[3].trunk, {4}, 1)),
      1e-7);
}

TEST(Decoder, SlotBegunAgain_ForgetsWhatWasThere) {
  const Policy policy = TestPolicy(at::kFloat);
  Decoder decoder(policy, {.slots = 1, .places = 1, .trunk_tokens = 9, .max_tokens = 3});
  decoder.Prefill({0}, {{1, 2, 3, 4, 5, 6, 7, 8, 9}});
  decoder.Begin(0, 0);
  const at::Tensor first = decoder.Step({0}, {3});
  decoder.Step({0}, {4});
  decoder.Begin(0, 0);
  EXPECT_TRUE(at::equal(decoder.Step({0}, {3}), first));
}

TEST(Decoder, TooLong_IsRefused) {
  const Policy policy = TestPolicy(at::kFloat);  // 256 positions
  EXPECT_THROW(Decoder(policy, {.slots = 1, .places = 1, .trunk_tokens = 250, .max_tokens = 7}),
               UsageError);
  Decoder decoder(policy, {.slots = 2, .places = 1, .trunk_tokens = 250, .max_tokens = 1});
  decoder.Prefill({0}, {std::vector<int32_t>(250, 1)});
  decoder.Begin(0, 0), decoder.Begin(1, 0);
  decoder.Step({0, 1}, {1, 2});
  EXPECT_THROW(decoder.Step({1}, {1}), UsageError);
}

}  // namespace
}  // namespace flame
