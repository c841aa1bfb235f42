#include "recommend/baselines/neighbours.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace flame {
namespace {

// The training visits of each fact, and how many facts each visit has.
struct Index {
  std::vector<std::vector<int32_t>> with;  // [fact]: positions in `train`
  std::vector<double> lengths;             // [position]
};

int64_t NumFacts(const std::vector<Fact>& facts) {
  return std::count_if(facts.begin(), facts.end(),
                       [](const Fact& f) { return f.index != kAgeFact; });
}

Index IndexOf(const Facts& facts, const std::vector<int32_t>& train) {
  Index index{std::vector<std::vector<int32_t>>(facts.size), {}};
  for (size_t i = 0; i < train.size(); ++i) {
    const std::vector<Fact>& own = facts.visits[train[i]];
    index.lengths.push_back(std::sqrt(static_cast<double>(NumFacts(own))));
    for (const Fact& fact : own) {
      if (fact.index != kAgeFact) index.with[fact.index].push_back(static_cast<int32_t>(i));
    }
  }
  return index;
}

// Returns the similarity of each training visit, up to a factor of the visit that is asked for.
std::vector<double> Similarities(const Index& index, const std::vector<Fact>& asked) {
  std::vector<double> similar(index.lengths.size(), 0);
  for (const Fact& fact : asked) {
    if (fact.index == kAgeFact) continue;
    for (const int32_t i : index.with[fact.index]) similar[i] += 1;
  }
  for (size_t i = 0; i < similar.size(); ++i) {
    if (similar[i] > 0) similar[i] /= index.lengths[i];
  }
  return similar;
}

// Returns the positions of the `count` most similar training visits, the nearest first.
std::vector<int32_t> Nearest(const std::vector<double>& similar, int64_t count) {
  std::vector<int32_t> order(similar.size());
  std::iota(order.begin(), order.end(), 0);
  const auto middle = order.begin() + std::min<int64_t>(count, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), middle, order.end(), [&](int32_t a, int32_t b) {
    return similar[a] != similar[b] ? similar[a] > similar[b] : a < b;
  });
  order.erase(middle, order.end());
  return order;
}

}  // namespace

std::vector<std::vector<float>> NeighbourShares(const Corpus& corpus, const Facts& facts,
                                                const std::vector<int64_t>& counts,
                                                const std::vector<int32_t>& train,
                                                const std::vector<int32_t>& visits) {
  const Index index = IndexOf(facts, train);
  const auto num_drugs = static_cast<size_t>(corpus.drugs.size());
  std::vector<std::vector<float>> shares(counts.size(),
                                         std::vector<float>(visits.size() * num_drugs));
  at::parallel_for(0, static_cast<int64_t>(visits.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v) {
      std::vector<double> similar = Similarities(index, facts.visits[visits[v]]);
      const bool alone = *std::max_element(similar.begin(), similar.end()) == 0;
      if (alone) similar.assign(similar.size(), 1);
      const auto all_visits = static_cast<int64_t>(similar.size());
      const std::vector<int32_t> order = Nearest(similar, alone ? all_visits : counts.back());
      std::vector<double> sums(num_drugs, 0);
      double all = 0;
      size_t taken = 0;
      for (size_t c = 0; c < counts.size(); ++c) {
        const size_t count = alone ? order.size() : std::min<size_t>(counts[c], order.size());
        for (; taken < count; ++taken) {
          const int32_t i = order[taken];
          all += similar[i];
          for (const int32_t drug : corpus.visits[train[i]].drugs) sums[drug] += similar[i];
        }
        for (size_t drug = 0; drug < num_drugs; ++drug) {
          shares[c][v * num_drugs + drug] = static_cast<float>(sums[drug] / all);
        }
      }
    }
  });
  return shares;
}

}  // namespace flame
