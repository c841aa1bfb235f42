#include "base/files/atomic_file.h"
#include "data/synth/stay.h"
#include "data/synth/table.h"
#include "data/synth/tables.h"
#include "data/synth/text.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
constexpr auto kStyle = SynthTable::Style::kMimic3;

class Mimic3Tables : public SynthTables {
 public:
  Mimic3Tables(const SynthModel& model, uint64_t seed) : model_(model), seed_(seed) {}
  void Add(uint32_t patient, const SynthPatient& person) override;
  void Write(const fs::path& folder) const override;

 private:
  void AddAdmission(const SynthStay& stay);
  void AddCodes(const SynthStay& stay);
  void AddPrescriptions(SynthStay* stay);
  void AddNotes(SynthStay* stay);

  const SynthModel& model_;
  uint64_t seed_;
  SynthTable patients_{"PATIENTS.csv",
                       "ROW_ID,SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG", kStyle};
  SynthTable admissions_{"ADMISSIONS.csv",
                         "ROW_ID,SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DEATHTIME,ADMISSION_TYPE,"
                         "ADMISSION_LOCATION,DISCHARGE_LOCATION,INSURANCE,LANGUAGE,RELIGION,"
                         "MARITAL_STATUS,ETHNICITY,EDREGTIME,EDOUTTIME,DIAGNOSIS,"
                         "HOSPITAL_EXPIRE_FLAG,HAS_CHARTEVENTS_DATA",
                         kStyle};
  SynthTable diagnoses_{"DIAGNOSES_ICD.csv", "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE", kStyle};
  SynthTable procedures_{"PROCEDURES_ICD.csv", "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE",
                         kStyle};
  SynthTable prescriptions_{
      "PRESCRIPTIONS.csv",
      "ROW_ID,SUBJECT_ID,HADM_ID,ICUSTAY_ID,STARTDATE,ENDDATE,DRUG_TYPE,DRUG,DRUG_NAME_POE,"
      "DRUG_NAME_GENERIC,FORMULARY_DRUG_CD,GSN,NDC,PROD_STRENGTH,DOSE_VAL_RX,DOSE_UNIT_RX,"
      "FORM_VAL_DISP,FORM_UNIT_DISP,ROUTE",
      kStyle};
  SynthTable notes_{"NOTEEVENTS.csv",
                    "ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,"
                    "CGID,ISERROR,TEXT",
                    kStyle};
  std::string oracle_ = kSynthOracleColumns;
};

void Mimic3Tables::Add(uint32_t patient, const SynthPatient& person) {
  std::vector<SynthStay> stays = SynthStaysOf(seed_, patient, person);
  const SynthStay& first = stays.front();
  // The date of birth is New Year's Day, so that the difference of years is the age in full years.
  patients_.Row({first.subject, Quoted(std::string(1, person.gender)),
                 SynthDate(first.year - first.visit.facts.age, 1, 1) + " 00:00:00", "", "", "",
                 "0"});
  for (SynthStay& stay : stays) {
    AddAdmission(stay);
    AddCodes(stay);
    AddPrescriptions(&stay);
    AddNotes(&stay);
  }
}

void Mimic3Tables::AddAdmission(const SynthStay& stay) {
  const std::string& words = model_.diagnoses[stay.visit.main_diagnosis].words;
  admissions_.Row({stay.subject, stay.hadm, stay.Day(0) + " 10:30:00",
                   stay.Day(stay.nights) + " 14:00:00", "", Quoted("EMERGENCY"),
                   Quoted("EMERGENCY ROOM ADMIT"), Quoted("HOME"), Quoted("Medicare"), "", "", "",
                   Quoted("UNKNOWN/NOT SPECIFIED"), "", "", Quoted(UpperCase(words)), "0", "1"});
  oracle_ += SynthOracleRow(stay.subject, stay.hadm, stay.visit.oracle);
}

void Mimic3Tables::AddCodes(const SynthStay& stay) {
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

void Mimic3Tables::AddPrescriptions(SynthStay* stay) {
  for (const SynthOrder& order : SynthOrdersOf(model_, stay)) {
    const std::string name = Quoted(order.name);
    prescriptions_.Row({stay->subject, stay->hadm, "", stay->Midnight(order.night),
                        stay->Midnight(stay->nights), Quoted(order.type), name, name, name, "", "",
                        order.ndc.empty() ? "" : Quoted(order.ndc), "", Quoted("1"), Quoted("UNIT"),
                        Quoted("1"), Quoted("UNIT"), Quoted("PO")});
  }
}

void Mimic3Tables::AddNotes(SynthStay* stay) {
  const auto row = [&](int32_t night, const char* category, const char* description,
                       const std::string& text) {
    notes_.Row({stay->subject, stay->hadm, stay->Day(night), "", "", Quoted(category),
                Quoted(description), "", "", Quoted(text)});
  };
  if (stay->random.Bernoulli(0.1)) {
    row(1, "Nursing/other", "Report",
        "Given overnight: " + DrugNames(model_, stay->visit.drugs) + ".\n");
  }
  row(stay->nights, "Discharge summary", "Report", SynthNote(model_, stay->visit));
}

void WriteCodes(const std::vector<SynthCode>& codes, const char* file, const fs::path& folder) {
  SynthTable table(file, "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE", kStyle);
  for (const SynthCode& code : codes) {
    table.Row({Quoted(code.code), Quoted(code.short_title), Quoted(code.long_title)});
  }
  WriteFileAtomically(folder / table.file(), table.text());
}

void Mimic3Tables::Write(const fs::path& folder) const {
  for (const SynthTable* table :
       {&patients_, &admissions_, &diagnoses_, &procedures_, &prescriptions_, &notes_}) {
    WriteFileAtomically(folder / table->file(), table->text());
  }
  WriteFileAtomically(folder / "ORACLE.csv", oracle_);
  WriteCodes(model_.diagnoses, "D_ICD_DIAGNOSES.csv", folder);
  WriteCodes(model_.procedures, "D_ICD_PROCEDURES.csv", folder);
  WriteSynthMappings(model_, SynthDrugWords::kPackages, folder / "mappings");
}

}  // namespace

std::unique_ptr<SynthTables> MakeMimic3Tables(const SynthModel& model, uint64_t seed) {
  return std::make_unique<Mimic3Tables>(model, seed);
}

}  // namespace flame
