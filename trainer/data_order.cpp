#include "trainer/data_order.h"

#include <numeric>

#include "base/random.h"

namespace flame {

int64_t DataOrder::At(int64_t place) {
  const int64_t epoch = place / num_items_;
  if (epoch != epoch_) {
    shuffle_.resize(num_items_);
    std::iota(shuffle_.begin(), shuffle_.end(), 0);
    RandomStream(seed_, kDataOrder, static_cast<uint32_t>(epoch)).Shuffle(&shuffle_);
    epoch_ = epoch;
  }
  return shuffle_[place % num_items_];
}

}  // namespace flame
