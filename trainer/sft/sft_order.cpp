#include "trainer/sft/sft_order.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace flame {

SftOrder::SftOrder(const SftOrderOptions& options, std::function<int64_t(int64_t)> length)
    : options_(options),
      length_(std::move(length)),
      shuffle_(options.seed, options.num_examples),
      lengths_(options.num_examples, -1) {}

int64_t SftOrder::StepsPerEpoch() const {
  return (options_.num_examples + options_.batch - 1) / options_.batch;
}

std::vector<int64_t> SftOrder::Step(int64_t step) {
  const int64_t epoch = step / StepsPerEpoch(), of_epoch = step % StepsPerEpoch();
  LoadWindow(epoch, of_epoch / options_.window);
  return steps_[of_epoch % options_.window];
}

void SftOrder::LoadWindow(int64_t epoch, int64_t window) {
  if (epoch == epoch_ && window == window_) return;
  const int64_t begin = window * options_.window * options_.batch;
  const int64_t end = std::min(begin + options_.window * options_.batch, options_.num_examples);
  std::vector<int64_t> examples;
  for (int64_t place = begin; place < end; ++place) {
    examples.push_back(shuffle_.At(epoch * options_.num_examples + place));
  }
  std::stable_sort(examples.begin(), examples.end(),
                   [&](int64_t a, int64_t b) { return LengthOf(a) > LengthOf(b); });
  std::vector<std::vector<int64_t>> full;
  auto next = examples.begin();
  for (; examples.end() - next >= options_.batch; next += options_.batch) {
    full.emplace_back(next, next + options_.batch);
  }
  RandomStream(options_.seed, kStepOrder, static_cast<uint32_t>(epoch),
               static_cast<uint32_t>(window))
      .Shuffle(&full);
  if (next != examples.end()) full.emplace_back(next, examples.end());
  steps_ = std::move(full);
  epoch_ = epoch;
  window_ = window;
}

int64_t SftOrder::LengthOf(int64_t example) {
  int64_t& length = lengths_[example];
  if (length < 0) length = length_(example);
  return length;
}

}  // namespace flame
