#include "trainer/micro_batch.h"

#include <algorithm>

namespace flame {
namespace {

struct Part {
  int64_t first = 0, last = 0;  // branches [first, last)
  int64_t num_tokens = 0;
};

// Returns the whole family as one part if it fits the budget, else parts that fit.
std::vector<Part> SplitByBranches(const Family& family, int64_t token_budget) {
  const auto trunk = static_cast<int64_t>(family.trunk.size());
  std::vector<Part> parts;
  for (int64_t b = 0; b < static_cast<int64_t>(family.branches.size()); ++b) {
    const auto branch = static_cast<int64_t>(family.branches[b].tokens.size());
    if (parts.empty() || parts.back().num_tokens + branch > token_budget) {
      parts.push_back({b, b, trunk});
    }
    parts.back().last = b + 1;
    parts.back().num_tokens += branch;
  }
  return parts;
}

void Append(const Family& family, int64_t index, const Part& part, MicroBatch* batch) {
  batch->families.push_back(
      {family.trunk,
       {family.branches.begin() + part.first, family.branches.begin() + part.last},
       family.number,
       family.first_branch + part.first});
  for (int64_t b = part.first; b < part.last; ++b) batch->branches.push_back({index, b});
  batch->num_tokens += part.num_tokens;
}

}  // namespace

std::vector<MicroBatch> CutMicroBatches(const std::vector<Family>& families, int64_t token_budget) {
  std::vector<MicroBatch> batches;
  for (int64_t f = 0; f < static_cast<int64_t>(families.size()); ++f) {
    for (const Part& part : SplitByBranches(families[f], token_budget)) {
      auto roomy = std::find_if(batches.begin(), batches.end(), [&](const MicroBatch& batch) {
        return batch.num_tokens + part.num_tokens <= token_budget;
      });
      if (roomy == batches.end()) roomy = batches.emplace(batches.end());
      Append(families[f], f, part, &*roomy);
    }
  }
  return batches;
}

MicroBatch IdlePass() { return {{{{0}, {{{0}, /*loss_from=*/1}}}}, {}, 0}; }

}  // namespace flame
