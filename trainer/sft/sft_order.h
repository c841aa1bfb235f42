// Which examples each step of SFT trains on.
#ifndef FLAME_TRAINER_SFT_SFT_ORDER_H_
#define FLAME_TRAINER_SFT_SFT_ORDER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "trainer/data_order.h"

namespace flame {

struct SftOrderOptions {
  uint64_t seed = 0;
  int64_t num_examples = 0;  // > 0
  int64_t batch = 1;         // examples a step
  int64_t window = 1;        // steps
};

// An epoch is DataOrder's shuffle, cut into windows of window * batch examples. A window's examples
// are sorted by length, longest first, and cut into steps; its full steps come in an order drawn by
// seed, so that lengths do not fall over a window. An epoch's last step may be short. A function of
// the options and the lengths alone: the same on any number of ranks.
class SftOrder {
 public:
  // `length`: tokens of an example, asked once for each.
  SftOrder(const SftOrderOptions& options, std::function<int64_t(int64_t)> length);

  int64_t StepsPerEpoch() const;
  // Examples of a step (from 0), longest first.
  std::vector<int64_t> Step(int64_t step);

 private:
  void LoadWindow(int64_t epoch, int64_t window);
  int64_t LengthOf(int64_t example);

  SftOrderOptions options_;
  std::function<int64_t(int64_t)> length_;
  DataOrder shuffle_;
  std::vector<int64_t> lengths_;             // -1: not asked yet
  int64_t epoch_ = -1, window_ = -1;         // that `steps_` is of
  std::vector<std::vector<int64_t>> steps_;  // of the window, in order
};

// A rank's share of a step's items, longest first: dealt out in turn, there and back, so that ranks
// get about equal lengths.
template <class T>
std::vector<T> ShareOf(const std::vector<T>& items, int rank, int size) {
  std::vector<T> share;
  for (size_t begin = 0, round = 0; begin < items.size(); begin += size, ++round) {
    const size_t at = begin + (round % 2 == 0 ? rank : size - 1 - rank);
    if (at < items.size()) share.push_back(items[at]);
  }
  return share;
}

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_SFT_ORDER_H_
