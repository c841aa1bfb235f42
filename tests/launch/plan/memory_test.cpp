// The planned memory of a training against the memory that it allocates.
#include "launch/plan/memory.h"

#include "tests/launch/plan/plan_fixture.h"

namespace flame {
namespace {

std::filesystem::path Fresh(const std::string& name) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "flame-plan" / name;
  std::filesystem::remove_all(folder);
  return folder;
}

TEST(PlanMemory, OneRank_IsWithinATenthOfWhatIsAllocated) {
  ExpectAllPlanned(nullptr, Fresh("one"));
}

TEST(PlanMemory, DropoutAndBfloat16_AreWithinATenth) {
  ExpectPlanned({Sharding::kNone, "lora", true, true, 0.1}, nullptr, Fresh("dropout"));
  ExpectPlanned({Sharding::kNone, "lora", false, true, 0, at::kBFloat16}, nullptr,
                Fresh("bfloat16"));
}

}  // namespace
}  // namespace flame
