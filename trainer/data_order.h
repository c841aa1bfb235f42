// The order in which a training loop visits its items: a new shuffle for every epoch.
#ifndef FLAME_TRAINER_DATA_ORDER_H_
#define FLAME_TRAINER_DATA_ORDER_H_

#include <cstdint>
#include <vector>

namespace flame {

// An endless sequence of items. The item at place p depends on (seed, num_items, p) only: it is
// element p % num_items of the shuffle of epoch p / num_items, which RandomStream(seed, kDataOrder,
// epoch) draws.
class DataOrder {
 public:
  // num_items > 0.
  DataOrder(uint64_t seed, int64_t num_items) : seed_(seed), num_items_(num_items) {}
  int64_t At(int64_t place);

 private:
  uint64_t seed_;
  int64_t num_items_;
  int64_t epoch_ = -1;  // the epoch that `shuffle_` holds
  std::vector<int64_t> shuffle_;
};

}  // namespace flame

#endif  // FLAME_TRAINER_DATA_ORDER_H_
