// The merges of a BPE model: each maps a pair of tokens to a rank and to the token it becomes.
#ifndef FLAME_TOKENIZER_BPE_MERGES_H_
#define FLAME_TOKENIZER_BPE_MERGES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace flame {

struct BpeMerge {
  int32_t rank, id;
};

// A hash table in one array, because encoding a new word is mostly searches in it.
class BpeMerges {
 public:
  // Removes all pairs and makes room for `count`.
  void Reset(size_t count);
  // Adds a pair, or replaces it. There may be at most as many pairs as Reset made room for.
  void Set(int32_t left, int32_t right, BpeMerge merge);
  const BpeMerge* Find(int32_t left, int32_t right) const {  // null: none
    for (size_t at = Home(Pair(left, right));; at = (at + 1) & mask_) {
      if (slots_[at].pair == Pair(left, right)) return &slots_[at].merge;
      if (slots_[at].pair == kNoPair) return nullptr;
    }
  }

 private:
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  struct Slot {
    uint64_t pair = kNoPair;
    BpeMerge merge = {0, 0};
  };
  static uint64_t Pair(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(left) << 32) | static_cast<uint32_t>(right);
  }
  size_t Home(uint64_t pair) const { return ((pair * 0x9E3779B97F4A7C15u) >> 32) & mask_; }

  std::vector<Slot> slots_ = std::vector<Slot>(1);  // one stays free, so that a search ends
  size_t mask_ = 0;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_BPE_MERGES_H_
