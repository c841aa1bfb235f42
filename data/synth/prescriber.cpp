#include "data/synth/prescriber.h"

#include <algorithm>
#include <bit>

namespace flame {
namespace {

// Returns the member of `drugs` in `set`, -1 if there is none.
int32_t MemberIn(const std::vector<int32_t>& drugs, DrugBits set) {
  for (const int32_t drug : drugs) {
    if (set >> drug & 1) return drug;
  }
  return -1;
}

}  // namespace

double SynthDrugWeight(const SynthModel& model, const SynthDrug& drug, const SynthFacts& facts) {
  double weight = drug.weight;
  if (facts.age >= model.older_age) weight *= drug.older;
  if (facts.gender == 'F') weight *= drug.female;
  for (const auto& [diagnosis, factor] : drug.with) {
    if (std::count(facts.diagnoses.begin(), facts.diagnoses.end(), diagnosis)) weight *= factor;
  }
  return weight;
}

SynthPrescriber::SynthPrescriber(const SynthModel& model, const SynthFacts& facts)
    : model_(model), allergies_(facts.allergies) {
  std::vector<double> unneeded(model.classes.size(), 1.0);
  const auto count = [&](const std::vector<SynthCode>& codes,
                         const std::vector<int32_t>& recorded) {
    for (const int32_t code : recorded) {
      for (const auto& [index, chance] : codes[code].calls) unneeded[index] *= 1 - chance;
    }
  };
  count(model.diagnoses, facts.diagnoses);
  count(model.procedures, facts.procedures);
  for (size_t i = 0; i < model.classes.size(); ++i) {
    const SynthClass& group = model.classes[i];
    Need need;
    need.index = static_cast<int32_t>(i);
    need.home = MemberIn(group.drugs, facts.home & ~allergies_);
    need.previous = MemberIn(group.drugs, facts.previous & ~allergies_);
    need.chance = 1 - unneeded[i] * (need.home >= 0 ? 1 - model.home_need : 1);
    for (const int32_t drug : group.drugs) {
      if (allergies_ >> drug & 1) continue;
      need.drugs.push_back(drug);
      need.weights.push_back(SynthDrugWeight(model, model.drugs[drug], facts));
      need.total += need.weights.back();
    }
    if (need.chance > 0 && !need.drugs.empty()) needs_.push_back(std::move(need));
  }
}

int32_t SynthPrescriber::Choose(const Need& need, RandomStream* random) const {
  if (need.home >= 0) {
    if (random->Bernoulli(model_.home_keep)) return need.home;
  } else if (need.previous >= 0) {
    if (random->Bernoulli(model_.previous_keep)) return need.previous;
  }
  double left = random->Uniform() * need.total;
  for (size_t i = 0; i < need.drugs.size(); ++i) {
    if (left < need.weights[i]) return need.drugs[i];
    left -= need.weights[i];
  }
  return need.drugs.back();
}

int32_t SynthPrescriber::LeastHarmful(const Need& need, int32_t drug, DrugBits given) const {
  const auto harm = [&](int32_t d) { return std::popcount(model_.drugs[d].harmful & given); };
  int32_t best = drug;
  for (const int32_t other : need.drugs) {
    if (harm(other) < harm(best)) best = other;
  }
  return best;
}

DrugBits SynthPrescriber::Draw(RandomStream* random) const {
  DrugBits given = 0;
  for (const Need& need : needs_) {
    const SynthClass& group = model_.classes[need.index];
    if (given & (group.members | group.not_with) || !random->Bernoulli(need.chance)) continue;
    int32_t drug = Choose(need, random);
    if (model_.drugs[drug].harmful & given && random->Bernoulli(model_.avoid)) {
      drug = LeastHarmful(need, drug, given);
    }
    given |= DrugBits{1} << drug;
    for (const auto& [partner, chance] : model_.drugs[drug].partners) {
      if (!(allergies_ >> partner & 1) && random->Bernoulli(chance))
        given |= DrugBits{1} << partner;
    }
  }
  if (given) return given;
  const DrugBits fallback = DrugBits{1} << model_.fallback_drug;
  const DrugBits allowed = ~(allergies_ | model_.absent);
  return fallback & allowed ? fallback : allowed & -allowed;  // else the first allowed drug
}

}  // namespace flame
