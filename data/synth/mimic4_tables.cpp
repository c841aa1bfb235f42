#include <unordered_set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/synth/stay.h"
#include "data/synth/table.h"
#include "data/synth/tables.h"
#include "data/synth/text.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
constexpr auto kStyle = SynthTable::Style::kPlain;
constexpr int32_t kFirstIcd10Year = 2016;  // admissions from this year on are coded in ICD-10
constexpr int32_t kFirstGroup = 2008, kGroupYears = 3;
// HADM_IDs are random numbers of eight digits.
constexpr int64_t kFirstHadm = 20'000'000, kHadms = 10'000'000;

class Mimic4Tables : public SynthTables {
 public:
  Mimic4Tables(const SynthModel& model, uint64_t seed) : model_(model), seed_(seed) {}
  void Add(uint32_t patient, const SynthPatient& person) override;
  void Write(const fs::path& folder) const override;

 private:
  int64_t DrawHadm(const SynthStay& stay);
  void AddAdmission(const SynthStay& stay);
  void AddCodes(const SynthStay& stay);
  void AddPrescriptions(SynthStay* stay);
  void AddNote(const SynthStay& stay);

  const SynthModel& model_;
  uint64_t seed_;
  std::unordered_set<int64_t> hadms_;
  SynthTable patients_{"patients.csv",
                       "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod", kStyle};
  SynthTable admissions_{"admissions.csv",
                         "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,"
                         "admit_provider_id,admission_location,discharge_location,insurance,"
                         "language,marital_status,race,edregtime,edouttime,hospital_expire_flag",
                         kStyle};
  SynthTable diagnoses_{"diagnoses_icd.csv", "subject_id,hadm_id,seq_num,icd_code,icd_version",
                        kStyle};
  SynthTable procedures_{"procedures_icd.csv",
                         "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version", kStyle};
  SynthTable prescriptions_{
      "prescriptions.csv",
      "subject_id,hadm_id,pharmacy_id,poe_id,poe_seq,order_provider_id,starttime,stoptime,"
      "drug_type,drug,formulary_drug_cd,gsn,ndc,prod_strength,form_rx,dose_val_rx,dose_unit_rx,"
      "form_val_disp,form_unit_disp,doses_per_24_hrs,route",
      kStyle};
  SynthTable notes_{"discharge.csv",
                    "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text",
                    kStyle};
  std::string oracle_ = kSynthOracleColumns;
};

// The anchor is the first admission.
void Mimic4Tables::Add(uint32_t patient, const SynthPatient& person) {
  std::vector<SynthStay> stays = SynthStaysOf(seed_, patient, person);
  const SynthStay& first = stays.front();
  const int32_t group =
      kFirstGroup + (first.calendar_year - kFirstGroup) / kGroupYears * kGroupYears;
  patients_.Row({first.subject, std::string(1, person.gender),
                 std::to_string(first.visit.facts.age), std::to_string(first.year),
                 StrCat(group, " - ", group + kGroupYears - 1), ""});
  for (SynthStay& stay : stays) {
    stay.hadm = std::to_string(DrawHadm(stay));
    AddAdmission(stay);
    AddCodes(stay);
    AddPrescriptions(&stay);
    AddNote(stay);
  }
}

int64_t Mimic4Tables::DrawHadm(const SynthStay& stay) {
  if (static_cast<int64_t>(hadms_.size()) >= kHadms / 2) {
    throw UsageError("a synthetic hospital in MIMIC-IV's layout has at most ", kHadms / 2,
                     " admissions, which have random numbers of eight digits");
  }
  RandomStream random(seed_, kSynth, stay.patient, kSynthAdmissionIds + stay.index);
  int64_t hadm = 0;
  do {
    hadm = kFirstHadm + static_cast<int64_t>(random.Below(kHadms));
  } while (!hadms_.insert(hadm).second);
  return hadm;
}

void Mimic4Tables::AddAdmission(const SynthStay& stay) {
  admissions_.Row({stay.subject, stay.hadm, stay.Day(0) + " 10:30:00",
                   stay.Day(stay.nights) + " 14:00:00", "", "EW EMER.", "", "EMERGENCY ROOM",
                   "HOME", "Medicare", "ENGLISH", "", "UNKNOWN", "", "", "0"});
  oracle_ += SynthOracleRow(stay.subject, stay.hadm, stay.visit.oracle);
}

void Mimic4Tables::AddCodes(const SynthStay& stay) {
  const bool icd10 = stay.calendar_year >= kFirstIcd10Year;
  const std::string version = icd10 ? "10" : "9";
  const auto number = [](size_t i) { return std::to_string(i + 1); };
  const auto& diagnoses = stay.visit.facts.diagnoses;
  for (size_t i = 0; i < diagnoses.size(); ++i) {
    const SynthCode& code = model_.diagnoses[diagnoses[i]];
    diagnoses_.Row({stay.subject, stay.hadm, number(i), icd10 ? code.icd10 : code.code, version});
  }
  const auto& procedures = stay.visit.facts.procedures;
  for (size_t i = 0; i < procedures.size(); ++i) {
    const SynthCode& code = model_.procedures[procedures[i]];
    procedures_.Row(
        {stay.subject, stay.hadm, number(i), stay.Day(1), icd10 ? code.icd10 : code.code, version});
  }
}

void Mimic4Tables::AddPrescriptions(SynthStay* stay) {
  for (const SynthOrder& order : SynthOrdersOf(model_, stay)) {
    const std::string pharmacy = std::to_string(kFirstHadm + prescriptions_.rows());
    prescriptions_.Row({stay->subject,
                        stay->hadm,
                        pharmacy,
                        "",
                        "",
                        "",
                        stay->Midnight(order.night),
                        stay->Midnight(stay->nights),
                        order.type,
                        Plain(order.name),
                        "",
                        "",
                        order.ndc,
                        "1",
                        "",
                        "1",
                        "UNIT",
                        "1",
                        "UNIT",
                        "1",
                        "PO"});
  }
}

void Mimic4Tables::AddNote(const SynthStay& stay) {
  const std::string time = stay.Day(stay.nights) + " 14:00:00";
  const std::string number = std::to_string(stay.index + 1);
  notes_.Row({StrCat(stay.subject, "-DS-", number), stay.subject, stay.hadm, "DS", number, time,
              time, Quoted(SynthNote(model_, stay.visit))});
}

void WriteTitles(const std::vector<SynthCode>& codes, const fs::path& path) {
  std::string text = "icd_code,icd_version,long_title\n";
  for (const SynthCode& code : codes) {
    text += StrCat(code.code, ",9,", Plain(code.long_title), "\n");
  }
  for (const SynthCode& code : codes) {
    text += StrCat(code.icd10, ",10,", Plain(code.icd10_title), "\n");
  }
  WriteFileAtomically(path, text);
}

void Mimic4Tables::Write(const fs::path& folder) const {
  const fs::path hosp = folder / "hosp", mappings = folder / "mappings";
  for (const SynthTable* table :
       {&patients_, &admissions_, &diagnoses_, &procedures_, &prescriptions_}) {
    WriteFileAtomically(hosp / table->file(), table->text());
  }
  WriteFileAtomically(folder / "note" / notes_.file(), notes_.text());
  WriteFileAtomically(folder / "ORACLE.csv", oracle_);
  WriteTitles(model_.diagnoses, hosp / "d_icd_diagnoses.csv");
  WriteTitles(model_.procedures, hosp / "d_icd_procedures.csv");
  WriteSynthMappings(model_, SynthDrugWords::kPackages, mappings);
  WriteSynthCrosswalk(model_, mappings);
}

}  // namespace

std::unique_ptr<SynthTables> MakeMimic4Tables(const SynthModel& model, uint64_t seed) {
  return std::make_unique<Mimic4Tables>(model, seed);
}

}  // namespace flame
