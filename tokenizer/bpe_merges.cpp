#include "tokenizer/bpe_merges.h"

#include <bit>

namespace flame {

void BpeMerges::Reset(size_t count) {
  slots_.assign(std::bit_ceil(2 * count + 1), Slot());
  mask_ = slots_.size() - 1;
}

void BpeMerges::Set(int32_t left, int32_t right, BpeMerge merge) {
  const uint64_t pair = Pair(left, right);
  size_t at = Home(pair);
  while (slots_[at].pair != kNoPair && slots_[at].pair != pair) at = (at + 1) & mask_;
  slots_[at] = {pair, merge};
}

}  // namespace flame
