#include "data/synth/tables.h"

#include <bit>
#include <cstdio>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/random.h"
#include "data/synth/text.h"

namespace flame {
namespace {

constexpr int64_t kFirstSubject = 10000, kFirstAdmission = 100000;
constexpr int32_t kFirstYear = 2110, kYears = 60;
// The random streams of a patient from this number on are for the paperwork; patient.cpp uses those
// from 0 on for the patient's course.
constexpr uint32_t kPaperwork = 1000;

std::string Date(int32_t year, int32_t month, int32_t day) {
  char text[40];
  std::snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
  return text;
}

}  // namespace

SynthTable::SynthTable(std::string file, const std::string& columns) : file_(std::move(file)) {
  text_ = "\"";
  for (const char c : columns) c == ',' ? text_ += "\",\"" : text_ += c;
  text_ += "\"\n";
}

void SynthTable::Row(const std::vector<std::string>& cells) {
  text_ += std::to_string(++rows_);
  for (const std::string& cell : cells) text_ += "," + cell;
  text_ += "\n";
}

// One admission with the values that its rows share.
struct SynthTables::Stay {
  const SynthVisit& visit;
  std::string subject, hadm;
  int32_t year, month, day, nights;
  RandomStream random;  // advances as rows are written

  std::string Day(int32_t night) const { return Date(year, month, day + night); }
  std::string Midnight(int32_t night) const { return Day(night) + " 00:00:00"; }
};

SynthTables::SynthTables(const SynthModel& model, uint64_t seed)
    : model_(model),
      seed_(seed),
      patients_("PATIENTS.csv", "ROW_ID,SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG"),
      admissions_("ADMISSIONS.csv",
                  "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,"
                  "ADMISSION_LOCATION,DISCHARGE_LOCATION,INSURANCE,LANGUAGE,RELIGION,"
                  "MARITAL_STATUS,ETHNICITY,EDREGTIME,EDOUTTIME,DIAGNOSIS,HOSPITAL_EXPIRE_FLAG,"
                  "HAS_CHARTEVENTS_DATA"),
      diagnoses_("DIAGNOSES_ICD.csv", "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE"),
      procedures_("PROCEDURES_ICD.csv", "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE"),
      prescriptions_("PRESCRIPTIONS.csv",
                     "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,STARTDATE,ENDDATE,DRUG_TYPE,DRUG,"
                     "DRUG_NAME_POE,DRUG_NAME_GENERIC,FORMULARY_DRUG_CD,GSN,NDC,PROD_STRENGTH,"
                     "DOSE_VAL_RX,DOSE_UNIT_RX,FORM_VAL_DISP,FORM_UNIT_DISP,ROUTE"),
      notes_("NOTEEVENTS.csv",
             "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,"
             "ISERROR,TEXT"),
      oracle_("SUBJECT_ID,HADM_ID,ORACLE_LIST,ORACLE_THRESHOLD\n") {}

void SynthTables::Add(uint32_t patient, const SynthPatient& person) {
  RandomStream random(seed_, kSynth, patient, kPaperwork);
  const std::string subject = std::to_string(kFirstSubject + patient);
  const int32_t first_year = kFirstYear + static_cast<int32_t>(random.Below(kYears));
  const int32_t first_age = person.visits.front().facts.age;
  // The date of birth is New Year's Day, so that the difference of years is the age in full years.
  patients_.Row({subject, Quoted(std::string(1, person.gender)),
                 Date(first_year - first_age, 1, 1) + " 00:00:00", "", "", "", "0"});
  for (size_t i = 0; i < person.visits.size(); ++i) {
    const SynthVisit& visit = person.visits[i];
    const auto index = static_cast<int32_t>(i);
    Stay stay{visit, subject,
              std::to_string(kFirstAdmission + int64_t{patient} * kMaxSynthAdmissions + index),
              first_year + visit.facts.age - first_age,
              // Each admission has a quarter of its own, so that admissions are in order of time.
              1 + 3 * index + static_cast<int32_t>(random.Below(3)),
              1 + static_cast<int32_t>(random.Below(18)), 2 + static_cast<int32_t>(random.Below(8)),
              RandomStream(seed_, kSynth, patient, kPaperwork + 1 + index)};
    AddAdmission(stay);
    AddCodes(stay);
    AddPrescriptions(stay);
    AddNotes(stay);
  }
}

void SynthTables::AddAdmission(const Stay& stay) {
  const std::string& words = model_.diagnoses[stay.visit.main_diagnosis].words;
  admissions_.Row({stay.subject, stay.hadm, stay.Day(0) + " 10:30:00",
                   stay.Day(stay.nights) + " 14:00:00", "", Quoted("EMERGENCY"),
                   Quoted("EMERGENCY ROOM ADMIT"), Quoted("HOME"), Quoted("Medicare"), "", "", "",
                   Quoted("UNKNOWN/NOT SPECIFIED"), "", "", Quoted(UpperCase(words)), "0", "1"});
  char oracle[64];
  std::snprintf(oracle, sizeof(oracle), ",%.6f,%.6f\n", stay.visit.oracle.list,
                stay.visit.oracle.threshold);
  oracle_ += stay.subject + "," + stay.hadm + oracle;
}

void SynthTables::AddCodes(const Stay& stay) {
  const auto add = [&](const std::vector<SynthCode>& codes, const std::vector<int32_t>& recorded,
                       SynthTable* table) {
    int32_t seq_num = 0;
    for (const int32_t code : recorded) {
      table->Row({stay.subject, stay.hadm, std::to_string(++seq_num), Quoted(codes[code].code)});
    }
  };
  add(model_.diagnoses, stay.visit.facts.diagnoses, &diagnoses_);
  add(model_.procedures, stay.visit.facts.procedures, &procedures_);
}

void SynthTables::AddPrescriptions(Stay& stay) {
  RandomStream& random = stay.random;
  const auto row = [&](const std::string& type, const std::string& name, const std::string& ndc,
                       int32_t night) {
    const std::string quoted = Quoted(name);
    prescriptions_.Row({stay.subject, stay.hadm, "", stay.Midnight(night),
                        stay.Midnight(stay.nights), Quoted(type), quoted, quoted, quoted, "", "",
                        ndc.empty() ? "" : Quoted(ndc), "", Quoted("1"), Quoted("UNIT"),
                        Quoted("1"), Quoted("UNIT"), Quoted("PO")});
  };
  // Real tables also hold rows that preparation has to drop: carriers, items without a code, orders
  // written twice.
  if (random.Bernoulli(0.4)) row("BASE", "0.9% Sodium Chloride", "00338004904", 0);
  for (DrugBits left = stay.visit.drugs; left; left &= left - 1) {
    const SynthDrug& drug = model_.drugs[std::countr_zero(left)];
    const std::string& ndc = drug.ndc[random.Below(drug.ndc.size())];
    row("MAIN", drug.name, ndc, 0);
    if (random.Bernoulli(0.10)) row("MAIN", drug.name, ndc, 0);
    if (random.Bernoulli(0.15)) row("MAIN", drug.name, drug.ndc.back(), 1);
  }
  if (random.Bernoulli(0.2)) row("MAIN", "Multivitamins", "0", 0);
  if (random.Bernoulli(0.1)) row("MAIN", "Lip Balm", "", 0);
}

void SynthTables::AddNotes(Stay& stay) {
  const auto row = [&](int32_t night, const char* category, const char* description,
                       const std::string& text) {
    notes_.Row({stay.subject, stay.hadm, stay.Day(night), "", "", Quoted(category),
                Quoted(description), "", "", Quoted(text)});
  };
  if (stay.random.Bernoulli(0.1)) {
    row(1, "Nursing/other", "Report",
        "Given overnight: " + DrugNames(model_, stay.visit.drugs) + ".\n");
  }
  row(stay.nights, "Discharge summary", "Report", SynthNote(model_, stay.visit));
}

void SynthTables::Write(const std::filesystem::path& folder) const {
  for (const SynthTable* table :
       {&patients_, &admissions_, &diagnoses_, &procedures_, &prescriptions_, &notes_}) {
    WriteFileAtomically(folder / table->file(), table->text());
  }
  WriteFileAtomically(folder / "ORACLE.csv", oracle_);
  WriteSynthDictionaries(model_, folder);
}

}  // namespace flame
