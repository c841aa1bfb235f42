#include "recommend/baselines/simple.h"

#include <algorithm>
#include <numeric>

#include "recommend/metrics.h"

namespace flame {

std::vector<float> DrugFrequencies(const Corpus& corpus) {
  std::vector<float> frequency(corpus.drugs.size(), 0);
  for (const int32_t visit : corpus.VisitsOf(Split::kTrain)) {
    for (const int32_t drug : corpus.visits[visit].drugs) frequency[drug] += 1;
  }
  return frequency;
}

std::vector<int32_t> PopularDrugs(const Corpus& corpus, const std::vector<float>& frequency) {
  std::vector<int32_t> order(frequency.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return frequency[a] > frequency[b]; });
  const std::vector<int32_t> train = corpus.VisitsOf(Split::kTrain);
  std::vector<int32_t> best;
  double best_jaccard = -1;
  for (size_t k = 1; k <= order.size(); ++k) {
    const std::vector<int32_t> top(order.begin(), order.begin() + static_cast<int64_t>(k));
    double sum = 0;
    for (const int32_t visit : train) sum += Jaccard(top, corpus.visits[visit].drugs);
    if (sum > best_jaccard) {
      best_jaccard = sum;
      best = top;
    }
  }
  return best;
}

std::vector<int32_t> PreviousDrugs(const Corpus& corpus, int32_t visit) {
  const int32_t previous = corpus.visits[visit].previous;
  return previous < 0 ? std::vector<int32_t>{} : corpus.visits[previous].drugs;
}

}  // namespace flame
