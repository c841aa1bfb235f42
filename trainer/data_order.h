// The order in which a loop meets its items: epoch after epoch, each a shuffle of its own.
#ifndef FLAME_TRAINER_DATA_ORDER_H_
#define FLAME_TRAINER_DATA_ORDER_H_

#include <cstdint>
#include <vector>

namespace flame {

// Item at place p of the endless sequence is a function of (seed, num_items, p) alone: the shuffle
// of epoch p / num_items by RandomStream(seed, kDataOrder, epoch), at p % num_items.
class DataOrder {
 public:
  // num_items > 0.
  DataOrder(uint64_t seed, int64_t num_items) : seed_(seed), num_items_(num_items) {}
  int64_t At(int64_t place);

 private:
  uint64_t seed_;
  int64_t num_items_;
  int64_t epoch_ = -1;  // that `shuffle_` is of
  std::vector<int64_t> shuffle_;
};

}  // namespace flame

#endif  // FLAME_TRAINER_DATA_ORDER_H_
