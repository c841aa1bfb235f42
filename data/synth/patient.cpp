#include "data/synth/patient.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace flame {
namespace {

// The patient's state from visit to visit. Only its recorded part reaches the prescriber.
struct Course {
  char gender = 'U';
  int32_t age = 0;
  std::vector<int32_t> chronic;
  DrugBits allergies = 0, previous = 0;
};

int32_t DrawCount(const SynthCounts& counts, RandomStream* random) {
  return counts.values[random->Weighted(counts.weights)];
}

std::vector<int32_t> Members(DrugBits set) {
  std::vector<int32_t> members;
  for (; set; set &= set - 1) members.push_back(std::countr_zero(set));
  return members;
}

// Draws a chronic or acute diagnosis that the patient can have and that is not in `present`.
int32_t DrawDiagnosis(const SynthModel& model, bool chronic, char gender,
                      const std::vector<int32_t>& present, RandomStream* random) {
  std::vector<double> weights;
  for (size_t i = 0; i < model.diagnoses.size(); ++i) {
    const SynthCode& code = model.diagnoses[i];
    const bool fits = code.chronic == chronic && (code.sex == 'U' || code.sex == gender) &&
                      !std::count(present.begin(), present.end(), static_cast<int32_t>(i));
    weights.push_back(fits ? code.weight : 0.0);
  }
  return static_cast<int32_t>(random->Weighted(weights));
}

// Draws a drug that a chronic condition of the patient calls for, by weight within its class and
// not among `refused`. Returns -1 if the class drawn has no such drug.
int32_t DrawChronicDrug(const SynthModel& model, const Course& course, DrugBits refused,
                        RandomStream* random) {
  const auto& calls = model.diagnoses[course.chronic[random->Below(course.chronic.size())]].calls;
  const SynthClass& group = model.classes[calls[random->Below(calls.size())].first];
  std::vector<double> weights;
  double total = 0;
  for (const int32_t drug : group.drugs) {
    weights.push_back(refused >> drug & 1 ? 0.0 : model.drugs[drug].weight);
    total += weights.back();
  }
  return total > 0 ? group.drugs[random->Weighted(weights)] : -1;
}

void AddAllergy(const SynthModel& model, bool first, RandomStream* random, Course* course) {
  if (first) {
    if (!random->Bernoulli(model.allergy)) return;
    const int32_t drug = DrawChronicDrug(model, *course, 0, random);
    if (drug >= 0) course->allergies |= DrugBits{1} << drug;
  } else if (random->Bernoulli(model.new_allergy)) {
    const auto drugs = Members(course->previous);
    course->allergies |= DrugBits{1} << drugs[random->Below(drugs.size())];
  }
}

// Draws one to three drugs, at most one of a class and none that excludes another. A draw that
// finds no such drug is skipped.
DrugBits DrawHomeDrugs(const SynthModel& model, const Course& course, RandomStream* random) {
  DrugBits home = 0, refused = course.allergies;
  const int32_t wanted = DrawCount(model.home_drugs, random);
  for (int32_t slot = 0; slot < wanted; ++slot) {
    int32_t drug = -1;
    const auto earlier = Members(course.previous & ~refused);
    if (!earlier.empty() && random->Bernoulli(model.home_from_previous)) {
      drug = earlier[random->Below(earlier.size())];
    } else {
      drug = DrawChronicDrug(model, course, refused, random);
    }
    if (drug < 0) continue;
    home |= DrugBits{1} << drug;
    const SynthClass& group = model.classes[model.drugs[drug].of_class];
    refused |= group.members | group.not_with;
    for (const SynthClass& other : model.classes) {
      if (other.not_with & group.members) refused |= other.members;
    }
  }
  return home;
}

void Diagnose(const SynthModel& model, const Course& course, RandomStream* random,
              SynthVisit* visit) {
  const int32_t num_acute = DrawCount(model.acute, random);
  auto& diagnoses = visit->facts.diagnoses;
  for (int32_t i = 0; i < num_acute; ++i) {
    diagnoses.push_back(DrawDiagnosis(model, false, course.gender, diagnoses, random));
  }
  visit->main_diagnosis = diagnoses.front();
  for (const int32_t condition : course.chronic) {
    const double chance = model.recorded * model.diagnoses[condition].recorded;
    if (random->Bernoulli(chance)) diagnoses.push_back(condition);
  }
}

void Operate(const SynthModel& model, RandomStream* random, SynthFacts* facts) {
  std::vector<int32_t>& done = facts->procedures;
  for (const int32_t diagnosis : facts->diagnoses) {
    for (const auto& [procedure, chance] : model.diagnoses[diagnosis].procedures) {
      if (static_cast<int32_t>(done.size()) == model.max_procedures) return;
      const bool again = std::count(done.begin(), done.end(), procedure) > 0;
      if (random->Bernoulli(chance) && !again) done.push_back(procedure);
    }
  }
  if (done.empty()) done.push_back(model.fallback_procedure);
}

SynthOracle Oracle(const SynthPrescriber& prescriber, int32_t draws, RandomStream random) {
  std::vector<DrugBits> sets(draws);
  for (DrugBits& set : sets) set = prescriber.Draw(&random);
  return SolveSynthOracle(sets);
}

}  // namespace

SynthPatient SimulateSynthPatient(const SynthModel& model, uint64_t seed, uint32_t patient,
                                  int32_t draws) {
  RandomStream life(seed, kSynth, patient, 0);
  Course course;
  course.gender = life.Bernoulli(0.5) ? 'F' : 'M';
  course.age = model.age_low + static_cast<int32_t>(life.Below(model.age_high - model.age_low + 1));
  const int32_t num_visits = DrawCount(model.admissions, &life);
  const int32_t num_chronic =
      model.chronic_low +
      static_cast<int32_t>(life.Below(model.chronic_high - model.chronic_low + 1));
  const auto accrue = [&](RandomStream* random) {
    course.chronic.push_back(DrawDiagnosis(model, true, course.gender, course.chronic, random));
  };
  for (int32_t i = 0; i < num_chronic; ++i) accrue(&life);

  SynthPatient result;
  result.gender = course.gender;
  for (int32_t i = 0; i < num_visits; ++i) {
    RandomStream random(seed, kSynth, patient, i + 1);
    if (i > 0 && random.Bernoulli(model.new_chronic)) accrue(&random);
    if (i > 0) course.age += static_cast<int32_t>(random.Below(2));
    AddAllergy(model, i == 0, &random, &course);
    SynthVisit visit;
    visit.facts.age = course.age;
    visit.facts.gender = course.gender;
    visit.facts.previous = course.previous;
    visit.facts.allergies = course.allergies;
    visit.facts.home = DrawHomeDrugs(model, course, &random);
    Diagnose(model, course, &random, &visit);
    Operate(model, &random, &visit.facts);
    const SynthPrescriber prescriber(model, visit.facts);
    visit.drugs = prescriber.Draw(&random);
    visit.oracle = Oracle(prescriber, draws, RandomStream(seed, kOracle, patient, i + 1));
    course.previous = visit.drugs;
    result.visits.push_back(std::move(visit));
  }
  return result;
}

}  // namespace flame
