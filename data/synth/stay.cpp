#include "data/synth/stay.h"

#include <bit>
#include <cstdio>

namespace flame {
namespace {

constexpr int64_t kFirstSubject = 10000, kFirstAdmission = 100000;
constexpr int32_t kFirstYear = 2110, kYears = 60;
// Patients are first admitted in one of these years of the calendar.
constexpr int32_t kFirstCalendarYear = 2008, kCalendarYears = 12;

}  // namespace

std::string SynthDate(int32_t year, int32_t month, int32_t day) {
  char text[40];
  std::snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
  return text;
}

std::string SynthStay::Day(int32_t night) const { return SynthDate(year, month, day + night); }

std::vector<SynthStay> SynthStaysOf(uint64_t seed, uint32_t patient, const SynthPatient& person) {
  RandomStream random(seed, kSynth, patient, kSynthPaperwork);
  RandomStream calendar(seed, kSynth, patient, kSynthCalendar);
  const int32_t first_year = kFirstYear + static_cast<int32_t>(random.Below(kYears));
  const int32_t first_calendar_year =
      kFirstCalendarYear + static_cast<int32_t>(calendar.Below(kCalendarYears));
  const int32_t first_age = person.visits.front().facts.age;
  std::vector<SynthStay> stays;
  for (size_t i = 0; i < person.visits.size(); ++i) {
    const SynthVisit& visit = person.visits[i];
    const auto index = static_cast<int32_t>(i);
    const int32_t later = visit.facts.age - first_age;
    // Each admission has a quarter of its own, so that admissions are in order of time.
    const int32_t month = 1 + 3 * index + static_cast<int32_t>(random.Below(3));
    const int32_t day = 1 + static_cast<int32_t>(random.Below(18));
    const int32_t nights = 2 + static_cast<int32_t>(random.Below(8));
    stays.push_back(
        {visit, patient, index, std::to_string(kFirstSubject + patient),
         std::to_string(kFirstAdmission + int64_t{patient} * kMaxSynthAdmissions + index),
         first_year + later, month, day, nights, first_calendar_year + later,
         RandomStream(seed, kSynth, patient, kSynthPaperwork + 1 + index)});
  }
  return stays;
}

std::vector<SynthOrder> SynthOrdersOf(const SynthModel& model, SynthStay* stay) {
  RandomStream& random = stay->random;
  std::vector<SynthOrder> orders;
  // Real tables also hold rows that preparation has to drop: carriers, items without a code, orders
  // written twice.
  if (random.Bernoulli(0.4))
    orders.push_back({"BASE", "0.9% Sodium Chloride", "00338004904", -1, 0});
  for (DrugBits left = stay->visit.drugs; left; left &= left - 1) {
    const int32_t index = std::countr_zero(left);
    const SynthDrug& drug = model.drugs[index];
    const std::string& ndc = drug.ndc[random.Below(drug.ndc.size())];
    orders.push_back({"MAIN", drug.name, ndc, index, 0});
    if (random.Bernoulli(0.10)) orders.push_back({"MAIN", drug.name, ndc, index, 0});
    if (random.Bernoulli(0.15)) orders.push_back({"MAIN", drug.name, drug.ndc.back(), index, 1});
  }
  if (random.Bernoulli(0.2)) orders.push_back({"MAIN", "Multivitamins", "0", -1, 0});
  if (random.Bernoulli(0.1)) orders.push_back({"MAIN", "Lip Balm", "", -1, 0});
  return orders;
}

std::string SynthOracleRow(const std::string& subject, const std::string& hadm,
                           const SynthOracle& oracle) {
  char figures[64];
  std::snprintf(figures, sizeof(figures), ",%.6f,%.6f\n", oracle.list, oracle.threshold);
  return subject + "," + hadm + figures;
}

}  // namespace flame
