#include "recommend/classifier_examples.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "recommend/classify.h"

namespace flame {
namespace {

bool Contains(const std::vector<int32_t>& drugs, int32_t drug) {
  return std::find(drugs.begin(), drugs.end(), drug) != drugs.end();
}

}  // namespace

ClassifierExamples::ClassifierExamples(const PromptBuilder& prompts, const Corpus& corpus,
                                       const std::vector<int32_t>& visits,
                                       const ClassifierOptions& options, uint64_t seed)
    : prompts_(prompts), corpus_(corpus), visits_(visits), options_(options), seed_(seed) {
  if (options_.balance != "weight") return;
  double yes = 0;
  for (const int32_t visit : visits_)
    yes += static_cast<double>(corpus_.visits[visit].drugs.size());
  if (yes == 0) {
    throw DataError("classifier.balance is weight, and none of ", visits_.size(),
                    " training visits has a drug; expected at least one");
  }
  const double all = static_cast<double>(visits_.size()) * corpus_.drugs.size();
  yes_weight_ = (all - yes) / (yes * options_.balance_ratio);
}

std::vector<int32_t> ClassifierExamples::Candidates(int32_t visit, int64_t epoch) const {
  const std::vector<int32_t>& given = corpus_.visits[visit].drugs;
  std::vector<int32_t> others;
  for (int32_t drug = 0; drug < corpus_.drugs.size(); ++drug) {
    if (!Contains(given, drug)) others.push_back(drug);
  }
  RandomStream(seed_, kBalance, static_cast<uint32_t>(epoch), static_cast<uint32_t>(visit))
      .Shuffle(&others);
  const double wanted =
      std::ceil(options_.balance_ratio * std::max<double>(1, static_cast<double>(given.size())));
  if (wanted < static_cast<double>(others.size())) others.resize(static_cast<size_t>(wanted));
  others.insert(others.end(), given.begin(), given.end());
  std::sort(others.begin(), others.end());
  return others;
}

SftExample ClassifierExamples::At(int64_t example, int64_t epoch) const {
  const int32_t visit = visits_[example];
  const std::vector<int32_t>& given = corpus_.visits[visit].drugs;
  SftExample made{ClassifierFamily(prompts_, corpus_.drugs.size(), visit, given), {}};
  if (options_.balance == "weight") {
    made.weights.assign(made.family.branches.size(), 1);
    for (const int32_t drug : given) made.weights[drug] = yes_weight_;
  }
  if (options_.balance == "subsample") {
    std::vector<Branch> kept;
    for (const int32_t drug : Candidates(visit, epoch)) {
      kept.push_back(std::move(made.family.branches[drug]));
    }
    made.family.branches = std::move(kept);
  }
  return made;
}

std::vector<int32_t> DrawValidation(const Corpus& corpus, int64_t limit, uint64_t seed) {
  std::vector<int32_t> visits = corpus.VisitsOf(Split::kValidation);
  if (limit == 0 || static_cast<int64_t>(visits.size()) <= limit) return visits;
  RandomStream(seed, kValidation).Shuffle(&visits);
  visits.resize(limit);
  std::sort(visits.begin(), visits.end());
  return visits;
}

}  // namespace flame
