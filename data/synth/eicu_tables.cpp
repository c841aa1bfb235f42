#include <bit>
#include <cctype>
#include <cstdio>

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
constexpr int32_t kDay = 24 * 60;            // minutes
constexpr int32_t kAdmitted = 10 * 60 + 30;  // minute of the day
constexpr int32_t kDischarged = 14 * 60;
constexpr int32_t kTopCoded = 87;  // ages from here on are written "> 89"
constexpr int32_t kMostUnits = 3;

// A stay in one unit. Times are minutes after the admission to the hospital.
struct Unit {
  std::string id;
  int32_t begin, end;
};

// The unit stays of one hospitalisation.
struct Units {
  std::vector<Unit> list;
  int32_t discharged;
  RandomStream random;

  const Unit& Any() { return list[random.Below(list.size())]; }
  // A moment of the unit stay, in minutes after its begin.
  std::string Offset(const Unit& unit) {
    return std::to_string(random.Below(static_cast<uint64_t>(unit.end - unit.begin)));
  }
};

class EicuTables : public SynthTables {
 public:
  EicuTables(const SynthModel& model, uint64_t seed) : model_(model), seed_(seed) {}
  void Add(uint32_t patient, const SynthPatient& person) override;
  void Write(const fs::path& folder) const override;

 private:
  Units PlanUnits(const SynthStay& stay) const;
  void AddUnits(const SynthStay& stay, const Units& units);
  void AddReason(const SynthStay& stay, const Unit& first);
  void AddCodes(const SynthStay& stay, Units* units);
  void AddMedication(SynthStay* stay, Units* units);
  void AddOrder(const std::string& name, bool cancelled, Units* units);
  void AddHomeDrugs(const SynthFacts& facts, const Unit& first);

  const SynthModel& model_;
  uint64_t seed_;
  SynthTable patients_{
      "patient.csv",
      "patientunitstayid,patienthealthsystemstayid,gender,age,ethnicity,hospitalid,wardid,"
      "apacheadmissiondx,admissionheight,hospitaladmittime24,hospitaladmitoffset,"
      "hospitaladmitsource,hospitaldischargeyear,hospitaldischargetime24,hospitaldischargeoffset,"
      "hospitaldischargelocation,hospitaldischargestatus,unittype,unitadmittime24,"
      "unitadmitsource,unitvisitnumber,unitstaytype,admissionweight,dischargeweight,"
      "unitdischargetime24,unitdischargeoffset,unitdischargelocation,unitdischargestatus,"
      "uniquepid",
      kStyle};
  SynthTable medication_{
      "medication.csv",
      "medicationid,patientunitstayid,drugorderoffset,drugstartoffset,drugivadmixture,"
      "drugordercancelled,drugname,drughiclseqno,dosage,routeadmin,frequency,loadingdose,prn,"
      "drugstopoffset,gtc",
      kStyle};
  SynthTable diagnoses_{"diagnosis.csv",
                        "diagnosisid,patientunitstayid,activeupondischarge,diagnosisoffset,"
                        "diagnosisstring,icd9code,diagnosispriority",
                        kStyle};
  SynthTable treatment_{
      "treatment.csv",
      "treatmentid,patientunitstayid,treatmentoffset,treatmentstring,activeupondischarge", kStyle};
  SynthTable reasons_{"admissionDx.csv",
                      "admissiondxid,patientunitstayid,admitdxenteredoffset,admitdxpath,"
                      "admitdxname,admitdxtext",
                      kStyle};
  SynthTable home_{"admissionDrug.csv",
                   "admissiondrugid,patientunitstayid,drugoffset,drugenteredoffset,drugnotetype,"
                   "specialtytype,usertype,rxincluded,writtenineicu,drugname,drugdosage,drugunit,"
                   "drugadmitfrequency,drughiclseqno",
                   kStyle};
  SynthTable allergies_{"allergy.csv",
                        "allergyid,patientunitstayid,allergyoffset,allergyenteredoffset,"
                        "allergynotetype,specialtytype,usertype,rxincluded,writtenineicu,drugname,"
                        "allergytype,allergyname,drughiclseqno",
                        kStyle};
  std::string oracle_ = kSynthOracleColumns;
};

// The time of the day, such as "23:36:00", `minutes` after the admission to the hospital.
std::string Clock(int32_t minutes) {
  const int32_t minute = (kAdmitted + minutes) % kDay;
  char text[40];
  std::snprintf(text, sizeof(text), "%02d:%02d:00", minute / 60, minute % 60);
  return text;
}

std::string Capitalised(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

// Returns "428.0" for 4280: codes of diagnoses have their dot behind the third character.
std::string Dotted(const std::string& code) {
  return code.size() > 3 ? code.substr(0, 3) + "." + code.substr(3) : code;
}

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

const char* RouteOf(const std::string& name) {
  if (Contains(name, " IV") || Contains(name, " IJ ")) return "IV";
  if (Contains(name, " RE ")) return "RE";
  if (Contains(name, " NEB") || Contains(name, " % IN ")) return "NEBULIZED";
  return "PO";
}

void EicuTables::Add(uint32_t patient, const SynthPatient& person) {
  for (SynthStay& stay : SynthStaysOf(seed_, patient, person)) {
    Units units = PlanUnits(stay);
    AddUnits(stay, units);
    AddReason(stay, units.list.front());
    AddCodes(stay, &units);
    AddMedication(&stay, &units);
    AddHomeDrugs(stay.visit.facts, units.list.front());
    oracle_ += SynthOracleRow("002-" + stay.subject, stay.hadm, stay.visit.oracle);
  }
}

// As in eICU, a later unit stay may have the lower id.
Units EicuTables::PlanUnits(const SynthStay& stay) const {
  Units units{{},
              stay.nights * kDay + kDischarged - kAdmitted,
              RandomStream(seed_, kSynth, stay.patient, kSynthUnits + stay.index)};
  RandomStream& random = units.random;
  const auto count = 1 + static_cast<int32_t>(random.Weighted({0.72, 0.22, 0.06}));
  const auto begin = static_cast<int32_t>(random.Below(180));
  const int32_t end = units.discharged - static_cast<int32_t>(random.Below(600));
  for (int32_t i = 0; i < count; ++i) {
    const int64_t id = std::stoll(stay.hadm) * kMostUnits + (count - 1 - i);
    units.list.push_back({std::to_string(id), begin + i * (end - begin) / count,
                          begin + (i + 1) * (end - begin) / count});
  }
  return units;
}

void EicuTables::AddUnits(const SynthStay& stay, const Units& units) {
  const SynthFacts& facts = stay.visit.facts;
  const std::string age = facts.age >= kTopCoded ? "> 89" : std::to_string(facts.age);
  const std::string& words = model_.diagnoses[stay.visit.main_diagnosis].words;
  for (size_t i = 0; i < units.list.size(); ++i) {
    const Unit& unit = units.list[i];
    const bool last = i + 1 == units.list.size();
    patients_.Row({unit.id,
                   stay.hadm,
                   facts.gender == 'F' ? "Female" : "Male",
                   age,
                   "",
                   "59",
                   "91",
                   i == 0 ? Plain(Capitalised(words)) : "",
                   "",
                   Clock(0),
                   std::to_string(-unit.begin),
                   "Emergency Department",
                   std::to_string(stay.calendar_year),
                   Clock(units.discharged),
                   std::to_string(units.discharged - unit.begin),
                   "Home",
                   "Alive",
                   "Med-Surg ICU",
                   Clock(unit.begin),
                   i == 0 ? "Emergency Department" : "ICU to SDU",
                   std::to_string(i + 1),
                   i == 0 ? "admit" : "stepdown/other",
                   "",
                   "",
                   Clock(unit.end),
                   std::to_string(unit.end - unit.begin),
                   last ? "Home" : "Step-Down Unit (SDU)",
                   "Alive",
                   "002-" + stay.subject});
  }
}

void EicuTables::AddReason(const SynthStay& stay, const Unit& first) {
  const SynthCode& code = model_.diagnoses[stay.visit.main_diagnosis];
  const std::string organ = Capitalised(code.path.substr(0, code.path.find('|')));
  const auto row = [&](const std::string& path, const std::string& name) {
    const std::string cell = Plain(name);
    reasons_.Row({std::to_string(reasons_.rows() + 1), first.id, "5",
                  Plain("admission diagnosis|" + path + "|" + name), cell, cell});
  };
  row("Was the patient admitted from the O.R. or went to the O.R. within 4 hours of admission?",
      "No");
  row("Non-operative Organ Systems|Organ System", organ);
  row("All Diagnosis|Non-operative|Diagnosis|" + organ, Capitalised(code.words));
}

// Some rows are repeated, and some diagnoses have no code.
void EicuTables::AddCodes(const SynthStay& stay, Units* units) {
  RandomStream& random = units->random;
  const auto diagnosis = [&](const std::string& path, const std::string& codes,
                             const char* priority) {
    const Unit& unit = units->Any();
    diagnoses_.Row({std::to_string(diagnoses_.rows() + 1), unit.id,
                    random.Bernoulli(0.5) ? "True" : "False", units->Offset(unit), Plain(path),
                    Plain(codes), priority});
  };
  for (const int32_t index : stay.visit.facts.diagnoses) {
    const SynthCode& code = model_.diagnoses[index];
    const char* priority = index == stay.visit.main_diagnosis ? "Primary"
                           : code.chronic                     ? "Other"
                                                              : "Major";
    const int32_t times = random.Bernoulli(0.3) ? 2 : 1;
    for (int32_t i = 0; i < times; ++i) {
      diagnosis(code.path, Dotted(code.code) + ", " + Dotted(code.icd10), priority);
    }
  }
  if (random.Bernoulli(0.3)) {
    diagnosis("cardiovascular|post vascular surgery|s/p interventional vascular procedure", "",
              "Other");
  }
  for (const int32_t index : stay.visit.facts.procedures) {
    const int32_t times = random.Bernoulli(0.3) ? 2 : 1;
    for (int32_t i = 0; i < times; ++i) {
      const Unit& unit = units->Any();
      treatment_.Row({std::to_string(treatment_.rows() + 1), unit.id, units->Offset(unit),
                      Plain(model_.procedures[index].path),
                      random.Bernoulli(0.5) ? "True" : "False"});
    }
  }
}

// Every drug has a named order that was not cancelled. Of the other orders, many have no name, and
// some were cancelled.
void EicuTables::AddMedication(SynthStay* stay, Units* units) {
  RandomStream& random = units->random;
  for (const SynthOrder& order : SynthOrdersOf(model_, stay)) {
    std::string name = order.type == "BASE" ? "LACTATED RINGERS 1000 ML LVP"
                       : order.ndc.empty()  ? ""
                                            : "MULTIVITAMINS PO TABS";
    if (order.drug >= 0) {
      const std::vector<std::string>& written = model_.drugs[order.drug].written;
      name = written[random.Below(written.size())];
    }
    AddOrder(name, /*cancelled=*/false, units);
    if (random.Bernoulli(0.4)) AddOrder("", /*cancelled=*/false, units);
  }
  if (random.Bernoulli(0.15)) {
    const SynthDrug& drug = model_.drugs[random.Below(model_.drugs.size())];
    AddOrder(drug.written.front(), /*cancelled=*/true, units);
  }
}

void EicuTables::AddOrder(const std::string& name, bool cancelled, Units* units) {
  const Unit& unit = units->Any();
  RandomStream& random = units->random;
  // Some orders began before the unit stay.
  const auto length = static_cast<uint64_t>(unit.end - unit.begin);
  const int64_t start = static_cast<int64_t>(random.Below(length + 120)) - 120;
  const int64_t ordered = start - static_cast<int64_t>(random.Below(60));
  const bool mixture = Contains(name, " IN NS") || Contains(name, " IN D5W");
  medication_.Row({std::to_string(medication_.rows() + 1), unit.id, std::to_string(ordered),
                   std::to_string(start), mixture ? "Yes" : "No", cancelled ? "Yes" : "No",
                   Plain(name), "", "1", name.empty() ? "" : RouteOf(name), "Daily", "", "No",
                   std::to_string(start + 60 + static_cast<int64_t>(random.Below(length))), "0"});
}

// Writes the drugs taken at home and the allergies, which other layouts tell in a discharge
// summary.
void EicuTables::AddHomeDrugs(const SynthFacts& facts, const Unit& first) {
  const std::string note = "Admission";
  for (DrugBits left = facts.home; left; left &= left - 1) {
    const SynthDrug& drug = model_.drugs[std::countr_zero(left)];
    home_.Row({std::to_string(home_.rows() + 1), first.id, "0", "5", note, "", "", "True", "False",
               Plain(UpperCase(drug.name)), "1", "", "Daily", ""});
  }
  for (DrugBits left = facts.allergies; left; left &= left - 1) {
    const SynthDrug& drug = model_.drugs[std::countr_zero(left)];
    allergies_.Row({std::to_string(allergies_.rows() + 1), first.id, "0", "5", note, "", "", "True",
                    "False", Plain(UpperCase(drug.name)), "Drug", Plain(drug.name), ""});
  }
}

void EicuTables::Write(const fs::path& folder) const {
  for (const SynthTable* table :
       {&patients_, &medication_, &diagnoses_, &treatment_, &reasons_, &home_, &allergies_}) {
    WriteFileAtomically(folder / table->file(), table->text());
  }
  WriteFileAtomically(folder / "ORACLE.csv", oracle_);
  WriteSynthMappings(model_, SynthDrugWords::kNames, folder / "mappings");
}

}  // namespace

std::unique_ptr<SynthTables> MakeEicuTables(const SynthModel& model, uint64_t seed) {
  return std::make_unique<EicuTables>(model, seed);
}

}  // namespace flame
