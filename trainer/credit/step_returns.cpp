#include "trainer/credit/step_returns.h"

#include <cstdint>
#include <map>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

// Steps that are compared with each other: (member, index).
using Peers = std::vector<std::pair<size_t, size_t>>;

template <class Key>
StepValues RelativeTo(const StepValues& returns, const Normalizer& normalizer, const Key& key) {
  std::map<decltype(key(size_t{}, size_t{})), Peers> sets;
  for (size_t i = 0; i < returns.size(); ++i) {
    for (size_t n = 0; n < returns[i].size(); ++n) sets[key(i, n)].emplace_back(i, n);
  }
  StepValues relative = returns;
  for (const auto& [of, peers] : sets) {
    std::vector<double> values;
    for (const auto& [i, n] : peers) values.push_back(returns[i][n]);
    const std::vector<double> normalized = Normalized(values, normalizer);
    for (size_t p = 0; p < peers.size(); ++p) {
      relative[peers[p].first][peers[p].second] = normalized[p];
    }
  }
  return relative;
}

}  // namespace

StepValues StepReturns(const std::vector<const Verdict*>& group, double gamma) {
  StepValues returns;
  for (const Verdict* verdict : group) {
    const std::vector<float>& phi = verdict->phi;
    std::vector<double> own(phi.size(), 0);
    for (size_t n = phi.size() - 1; n > 0; --n) {
      own[n - 1] = double{phi[n]} - double{phi[n - 1]} + gamma * own[n];
    }
    returns.push_back(std::move(own));
  }
  return returns;
}

StepValues RelativeToPosition(const StepValues& returns, const Normalizer& normalizer) {
  return RelativeTo(returns, normalizer, [](size_t, size_t n) { return n; });
}

StepValues RelativeToState(const std::vector<const Verdict*>& group, const StepValues& returns,
                           const Normalizer& normalizer) {
  for (size_t i = 0; i < group.size(); ++i) {
    if (group[i]->state.size() == returns[i].size()) continue;
    throw DataError("verdict: ", group[i]->state.size(), " states for ", returns[i].size(),
                    " values of phi; expected one each");
  }
  return RelativeTo(returns, normalizer, [&](size_t i, size_t n) { return group[i]->state[n]; });
}

}  // namespace flame
