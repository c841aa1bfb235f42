// The examples that each step of SFT trains on.
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
  int64_t batch = 1;         // examples per step
  int64_t window = 1;        // steps
};

// Each epoch is DataOrder's shuffle, cut into windows of window * batch examples. The examples of a
// window are sorted by length, longest first, and cut into steps. The window's full steps are then
// shuffled by seed, so that a window does not go from long to short examples. An epoch's last step
// may be short. The order depends on the options and the lengths only, not on the number of ranks.
class SftOrder {
 public:
  // `length` returns the number of tokens of an example; it is called once per example.
  SftOrder(const SftOrderOptions& options, std::function<int64_t(int64_t)> length);

  int64_t StepsPerEpoch() const;
  // Returns the examples of a step (from 0), longest first.
  std::vector<int64_t> Step(int64_t step);

 private:
  void LoadWindow(int64_t epoch, int64_t window);
  int64_t LengthOf(int64_t example);

  SftOrderOptions options_;
  std::function<int64_t(int64_t)> length_;
  DataOrder shuffle_;
  std::vector<int64_t> lengths_;             // -1: not asked yet
  int64_t epoch_ = -1, window_ = -1;         // the window that `steps_` holds
  std::vector<std::vector<int64_t>> steps_;  // the window's steps, in order
};

// Returns a rank's share of a step's items, which come longest first. Items are dealt to ranks 0,
// 1, ..., size - 1, then back from size - 1 to 0, and so on, so that ranks get about equal lengths.
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
