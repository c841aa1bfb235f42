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

}  // namespace

std::vector<float> NeighbourShares(const Corpus& corpus, const Facts& facts, int64_t count,
                                   const std::vector<int32_t>& train,
                                   const std::vector<int32_t>& visits) {
  const Index index = IndexOf(facts, train);
  const int64_t num_drugs = corpus.drugs.size();
  std::vector<float> shares(visits.size() * num_drugs);
  at::parallel_for(0, static_cast<int64_t>(visits.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v) {
      std::vector<double> similar = Similarities(index, facts.visits[visits[v]]);
      std::vector<int32_t> order(train.size());
      std::iota(order.begin(), order.end(), 0);
      const auto nearest = std::min<int64_t>(count, static_cast<int64_t>(order.size()));
      std::partial_sort(order.begin(), order.begin() + nearest, order.end(),
                        [&](int32_t a, int32_t b) {
                          return similar[a] != similar[b] ? similar[a] > similar[b] : a < b;
                        });
      if (similar[order[0]] > 0) {
        order.resize(nearest);
      } else {
        similar.assign(similar.size(), 1);
      }
      std::vector<double> sums(num_drugs, 0);
      double all = 0;
      for (const int32_t i : order) {
        all += similar[i];
        for (const int32_t drug : corpus.visits[train[i]].drugs) sums[drug] += similar[i];
      }
      for (int64_t drug = 0; drug < num_drugs; ++drug) {
        shares[v * num_drugs + drug] = static_cast<float>(sums[drug] / all);
      }
    }
  });
  return shares;
}

}  // namespace flame
