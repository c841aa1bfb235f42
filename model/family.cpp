#include "model/family.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"

namespace flame {
namespace {

at::Tensor ToTensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

void CheckFamily(const Family& family, size_t index) {
  if (family.trunk.empty()) {
    throw UsageError("family ", index, ": the trunk has no token; expected at least one");
  }
  for (size_t b = 0; b < family.branches.size(); ++b) {
    const Branch& branch = family.branches[b];
    const auto size = static_cast<int32_t>(branch.tokens.size());
    if (size == 0 || branch.loss_from < 0 || branch.loss_from > size) {
      throw UsageError("family ", index, ", branch ", b, ": ", size, " tokens and loss_from ",
                       branch.loss_from, "; expected a token and loss_from in 0..size");
    }
  }
}

// Builds the packed axis and the axis of the asked rows, one family at a time.
class Packer {
 public:
  void Add(const Family& family) {
    FamilyLayout layout, asked;
    int64_t mask_row = family.number << 32;
    layout.trunk = AddSegment(family.trunk, static_cast<int64_t>(family.trunk.size()), 0, mask_row);
    mask_row += family.first_branch << 20;
    const bool first_asked =
        std::any_of(family.branches.begin(), family.branches.end(),
                    [](const Branch& branch) { return branch.loss_from == 0; });
    asked.trunk = AskLast(layout.trunk, first_asked ? 1 : 0);
    for (const Branch& branch : family.branches) {
      const auto size = static_cast<int64_t>(branch.tokens.size());
      // No asked-for token follows an asked-for last token, so its state is not needed.
      const Span span = AddSegment(branch.tokens, branch.loss_from < size ? size - 1 : size,
                                   layout.trunk.size, mask_row += int64_t{1} << 20);
      layout.branches.push_back(span);
      offsets_.push_back(static_cast<int64_t>(targets_.size()));
      if (branch.loss_from == 0) sources_.push_back(asked.trunk.begin);
      const Span own = AskLast(span, size - std::max<int64_t>(branch.loss_from, 1));
      for (int64_t i = 0; i < own.size; ++i) sources_.push_back(own.begin + i);
      targets_.insert(targets_.end(), branch.tokens.begin() + branch.loss_from,
                      branch.tokens.end());
      asked.branches.push_back(own);
    }
    layouts_.push_back(std::move(layout));
    asked_.push_back(std::move(asked));
  }

  FamilyBatch Finish() {
    offsets_.push_back(static_cast<int64_t>(targets_.size()));
    return {.tokens = ToTensor(tokens_),
            .positions = ToTensor(positions_),
            .mask_rows = ToTensor(mask_rows_),
            .families = std::move(layouts_),
            .asked_rows = ToTensor(asked_rows_),
            .asked = std::move(asked_),
            .sources = ToTensor(sources_),
            .targets = ToTensor(targets_),
            .target_offsets = std::move(offsets_)};
  }

 private:
  // Appends the first `size` tokens.
  Span AddSegment(const std::vector<int32_t>& tokens, int64_t size, int64_t first_position,
                  int64_t first_mask_row) {
    const Span span{static_cast<int64_t>(tokens_.size()), size};
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.begin() + size);
    for (int64_t i = 0; i < span.size; ++i) {
      positions_.push_back(first_position + i);
      mask_rows_.push_back(first_mask_row + i);
    }
    return span;
  }

  Span AskLast(const Span& span, int64_t count) {
    const Span asked{static_cast<int64_t>(asked_rows_.size()), count};
    const int64_t end = span.begin + span.size;
    for (int64_t row = end - count; row < end; ++row) asked_rows_.push_back(row);
    return asked;
  }

  std::vector<int64_t> tokens_, positions_, mask_rows_, asked_rows_, sources_, targets_, offsets_;
  std::vector<FamilyLayout> layouts_, asked_;
};

}  // namespace

int64_t Family::NumTokens() const {
  auto total = static_cast<int64_t>(trunk.size());
  for (const Branch& branch : branches) total += static_cast<int64_t>(branch.tokens.size());
  return total;
}

FamilyBatch PackFamilies(const std::vector<Family>& families) {
  Packer packer;
  for (size_t f = 0; f < families.size(); ++f) {
    CheckFamily(families[f], f);
    packer.Add(families[f]);
  }
  return packer.Finish();
}

}  // namespace flame
