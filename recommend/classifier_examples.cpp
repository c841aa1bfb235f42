#include "recommend/classifier_examples.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "recommend/baselines/facts.h"
#include "recommend/baselines/logistic.h"
#include "recommend/classify.h"

namespace flame {
namespace {

bool Contains(const std::vector<int32_t>& drugs, int32_t drug) {
  return std::find(drugs.begin(), drugs.end(), drug) != drugs.end();
}

// Leaves only these branches, ascending, in an example whose branches all have weight 1 at the end.
void Keep(const std::vector<int32_t>& branches, SftExample* example) {
  SftExample kept;
  for (const int32_t branch : branches) {
    kept.family.branches.push_back(std::move(example->family.branches[branch]));
    if (!example->early_weights.empty()) {
      kept.early_weights.push_back(example->early_weights[branch]);
    }
  }
  example->family.branches = std::move(kept.family.branches);
  example->early_weights = std::move(kept.early_weights);
}

}  // namespace

ClassifierExamples::ClassifierExamples(const PromptBuilder& prompts, const Corpus& corpus,
                                       const std::vector<int32_t>& visits,
                                       const ClassifierOptions& options, uint64_t seed)
    : prompts_(prompts),
      corpus_(corpus),
      visits_(visits),
      options_(options),
      names_(corpus.drugs.titles),
      seed_(seed) {
  if (options_.teacher_share > 0) {
    teacher_ = LogisticLogits(corpus, FactsOf(corpus), visits, visits);
  }
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

std::vector<EarlyAnswer> ClassifierExamples::TeacherAnswers(int64_t example) const {
  const int32_t num_drugs = corpus_.drugs.size();
  const std::vector<int32_t>& given = corpus_.visits[visits_[example]].drugs;
  std::vector<EarlyAnswer> answers(num_drugs);
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    const bool yes = Contains(given, drug);
    const double logit = teacher_[example * num_drugs + drug];
    const double share = options_.teacher_share / (1 + std::exp(yes ? logit : -logit));
    answers[drug] = {static_cast<int32_t>(yes ? prompts_.no_id() : prompts_.yes_id()), share};
  }
  return answers;
}

SftExample ClassifierExamples::At(int64_t example, int64_t epoch) const {
  const int32_t visit = visits_[example];
  const std::vector<int32_t>& given = corpus_.visits[visit].drugs;
  SftExample made{ClassifierFamily(prompts_, corpus_.drugs.size(), visit, given), {}};
  if (options_.balance == "weight") {
    made.weights.assign(made.family.branches.size(), 1);
    for (const int32_t drug : given) made.weights[drug] = yes_weight_;
  }
  if (options_.named_weight != 1) {
    made.early_weights = made.weights;
    made.early_weights.resize(made.family.branches.size(), 1);
    for (const int32_t drug : NamedDrugs(corpus_, names_, visit)) {
      made.early_weights[drug] *= options_.named_weight;
    }
  }
  if (!teacher_.empty()) made.early_answers = TeacherAnswers(example);
  if (options_.balance == "subsample") Keep(Candidates(visit, epoch), &made);
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
