#include <algorithm>
#include <numeric>

#include "rollout/client.h"

namespace flame {

namespace {

// Returns the indices of the request's tasks, those with long prompts first.
std::vector<size_t> ByLength(const std::vector<int64_t>& lengths) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });
  return order;
}

RolloutRequest PartOf(const RolloutRequest& request, int64_t part,
                      const std::vector<size_t>& places) {
  RolloutRequest cut{request.step, request.policy_version, part, {}, {}};
  for (const size_t place : places) {
    cut.task_ids.push_back(request.task_ids[place]);
    cut.tasks.push_back(request.tasks[place]);
  }
  return cut;
}

}  // namespace

std::vector<RolloutRequest> CutRequest(const RolloutRequest& request,
                                       const std::vector<int64_t>& lengths, int64_t ranks) {
  const auto count = static_cast<int64_t>(request.tasks.size());
  const std::vector<size_t> order = ByLength(lengths);
  // A smaller part would make a rank's matrix products too narrow.
  const int64_t least = std::max<int64_t>(1, count / (8 * ranks));
  std::vector<RolloutRequest> parts;
  for (int64_t begin = 0; begin < count;) {
    const int64_t left = count - begin;
    const int64_t share = ranks == 1 ? left : (left + 2 * ranks - 1) / (2 * ranks);
    const int64_t size = std::min(left, std::max(least, share));
    parts.push_back(PartOf(request, static_cast<int64_t>(parts.size()),
                           {order.begin() + begin, order.begin() + begin + size}));
    begin += size;
  }
  return parts;
}

std::vector<RolloutRequest> DealRequest(const RolloutRequest& request,
                                        const std::vector<int64_t>& lengths, int64_t ranks) {
  std::vector<std::vector<size_t>> places(ranks);
  const std::vector<size_t> order = ByLength(lengths);
  for (size_t i = 0; i < order.size(); ++i) {
    const int64_t round = static_cast<int64_t>(i) / ranks, at = static_cast<int64_t>(i) % ranks;
    places[round % 2 == 0 ? at : ranks - 1 - at].push_back(order[i]);
  }
  std::vector<RolloutRequest> parts;
  for (int64_t r = 0; r < ranks; ++r) parts.push_back(PartOf(request, r, places[r]));
  return parts;
}

}  // namespace flame
