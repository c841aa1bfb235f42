// The paperwork of a synthetic patient that is the same in every layout: numbers, dates, orders.
#ifndef FLAME_DATA_SYNTH_STAY_H_
#define FLAME_DATA_SYNTH_STAY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/synth/patient.h"

namespace flame {

// The random streams of a patient for paperwork; patient.cpp uses those from 0 on for the patient's
// course.
enum SynthStream : uint32_t {
  kSynthPaperwork = 1000,  // and one of each stay from the next on
  kSynthCalendar = 1100,
  kSynthAdmissionIds = 1200,  // one of each stay
  kSynthUnits = 1300,         // one of each stay
};

// One admission with the values that its rows share.
struct SynthStay {
  const SynthVisit& visit;
  uint32_t patient;
  int32_t index;                     // of the patient's admissions
  std::string subject, hadm;         // MIMIC-III's ids
  int32_t year, month, day, nights;  // on a clock that is shifted for each patient
  int32_t calendar_year;             // what `year` stands for
  RandomStream random;               // advances as rows are written

  // The shifted date of a night, counted from 0.
  std::string Day(int32_t night) const;
  std::string Midnight(int32_t night) const { return Day(night) + " 00:00:00"; }
};

// Returns a patient's admissions in order of time. The same patient has the same in every layout.
std::vector<SynthStay> SynthStaysOf(uint64_t seed, uint32_t patient, const SynthPatient& person);

// Returns "2110-02-28".
std::string SynthDate(int32_t year, int32_t month, int32_t day);

// One row of prescriptions.
struct SynthOrder {
  std::string type, name, ndc;  // type MAIN or BASE; "" for no NDC
  int32_t drug;                 // -1: none of the model
  int32_t night;
};

// Draws the orders of a stay: each of its drugs, and rows that preparation has to drop.
std::vector<SynthOrder> SynthOrdersOf(const SynthModel& model, SynthStay* stay);

// A row of ORACLE.csv.
std::string SynthOracleRow(const std::string& subject, const std::string& hadm,
                           const SynthOracle& oracle);
inline constexpr char kSynthOracleColumns[] = "SUBJECT_ID,HADM_ID,ORACLE_LIST,ORACLE_THRESHOLD\n";

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_STAY_H_
