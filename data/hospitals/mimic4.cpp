// MIMIC-IV 2.2 and 3.1 (https://mimic.mit.edu/docs/iv): tables in hosp/, notes of MIMIC-IV-Note
// 2.2 in note/. Its HADM_IDs are random, so the order of visits is that of their times.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/layouts.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/mimic_tables.h"
#include "data/hospitals/owner_check.h"
#include "data/hospitals/person_facts.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr char kNotes[] = "discharge";

// A patient was `anchor_age` years old in the shifted year `anchor_year`, which stands for a year
// of the calendar from `group_year` on, of three.
struct Person {
  char gender = 'U';
  int32_t anchor_age = 0, anchor_year = 0, group_year = 0;
  bool operator==(const Person&) const = default;
};
using Persons = std::unordered_map<int64_t, Person>;

// Returns the first year of a group such as "2011 - 2013".
int32_t FirstYear(const CsvRow& row, size_t column) {
  const std::string_view text = Trimmed(row[column]);
  int32_t year = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), year);
  const bool read = error == std::errc() && end == text.data() + std::min<size_t>(4, text.size());
  const size_t last = std::min(text.find_last_of(" -") + 1, text.size());
  int32_t end_year = 0;
  const auto [last_end, last_error] =
      std::from_chars(text.data() + last, text.data() + text.size(), end_year);
  if (!read || last == 0 || year < 1900 || year > 2200 || last_error != std::errc() ||
      end_year < year || end_year > year + 9 || last_end != text.data() + text.size()) {
    row.Fail(column, "years such as 2011 - 2013");
  }
  return year;
}

int32_t Within(const CsvRow& row, size_t column, int64_t low, int64_t high, const char* expected) {
  const int64_t value = row.Integer(column);
  if (value < low || value > high) row.Fail(column, expected);
  return static_cast<int32_t>(value);
}

Persons ReadPersons(const fs::path& hosp) {
  Persons persons;
  const CsvTable table(hosp, "PATIENTS",
                       {"SUBJECT_ID", "GENDER", "ANCHOR_AGE", "ANCHOR_YEAR", "ANCHOR_YEAR_GROUP"});
  GenderReader gender;
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const Person person{gender.Read(row, 1), Within(row, 2, 0, kMostYears, "an age in years"),
                        Within(row, 3, 1900, 2300, "a year such as 2150"), FirstYear(row, 4)};
    const auto [entry, added] = persons.try_emplace(row.Integer(0), person);
    if (added || entry->second == person) return;
    throw DataError(table.path(), ": ", row.Where(), ", gives SUBJECT_ID ", row[0],
                    " another sex or anchor than an earlier row; expected one row of a patient");
  });
  gender.Warn(table);
  return persons;
}

class Mimic4 : public Hospital {
 public:
  explicit Mimic4(const DataOptions& options)
      : hosp_(options.root / "hosp"),
        note_(options.root / "note"),
        mappings_(MappingsFolder(options)),
        crosswalk_(options.icd10 == "icd9") {}

  Admissions ReadAdmissions() const override { return ReadMimicAdmissions(hosp_); }
  std::string admissions_file() const override {
    return CsvTable::Find(hosp_, "ADMISSIONS").string();
  }

  CodeTable ReadPrescriptions(const Admissions& admissions, FunnelLog* funnel) const override {
    return ReadMimicPrescriptions(hosp_, admissions, funnel);
  }

  std::unique_ptr<DrugMap> Drugs() const override { return OpenNdcMap(mappings_); }

  CodeTable ReadCodes(CodeKind kind, const Admissions& admissions,
                      FunnelLog* funnel) const override {
    CodeTable table = ReadMimicCodes(hosp_, kind, "ICD_CODE", "ICD_VERSION", admissions, funnel);
    if (crosswalk_) ToIcd9(mappings_, kind, &table, funnel);
    return table;
  }

  CodeTable ReadAdmissionDiagnoses() const override {
    throw UsageError("data.diagnoses is admission, but the tables of mimic4 have no text of a ",
                     "diagnosis at admission; expected discharge or previous");
  }

  void Describe(const Admissions& admissions, std::vector<Visit>* visits) const override {
    const std::string file = CsvTable(hosp_, "PATIENTS", {}).path();
    const Persons persons = ReadPersons(hosp_);
    for (Visit& visit : *visits) {
      const auto found = persons.find(visit.subject);
      if (found == persons.end()) {
        throw DataError(file, ": no SUBJECT_ID ", visit.subject, ", whose HADM_ID ", visit.hadm,
                        " has prescriptions");
      }
      const Person& person = found->second;
      const int32_t later = YearOf(*admissions.at(visit.hadm).admitted) - person.anchor_year;
      visit.gender = person.gender;
      visit.age = std::min(person.anchor_age + later, kAgeCap);
      visit.year = person.group_year + later;
      if (visit.age >= 0) continue;
      throw DataError(file, ": HADM_ID ", visit.hadm, " was admitted ", -later,
                      " years before the ", "anchor_year of SUBJECT_ID ", visit.subject,
                      ", who was ", person.anchor_age, " then");
    }
  }

  Notes ReadNotes(const Admissions& admissions) const override {
    Notes notes;
    if (!CsvTable::Exists(note_, kNotes)) return notes;
    notes.expected = "discharge summaries with a section such as Allergies";
    notes.place = "note/discharge";
    const CsvTable table(note_, kNotes, {"SUBJECT_ID", "HADM_ID", "TEXT"});
    const auto check = std::make_shared<OwnerCheck>(admissions);
    notes.rows = table.ForEachRow([&](const CsvRow& row) {
      if (row[1].empty()) return;
      const int64_t hadm = row.Integer(1);
      if (!row[0].empty()) check->See(row, row.Integer(0), hadm);
      KeepFirstNote(hadm, row[2], &notes);
    });
    notes.check = [check, table] { check->Finish(table); };
    return notes;
  }

  // MIMIC-IV has long titles only, so those of ICD-9 come from the mappings, as in MIMIC-III.
  OwnTitles ReadTitles(CodeKind kind) const override {
    OwnTitles titles;
    const char* stem = kind == CodeKind::kProcedure ? "D_ICD_PROCEDURES" : "D_ICD_DIAGNOSES";
    if (!CsvTable::Exists(hosp_, stem)) return titles;
    const CsvTable table(hosp_, stem, {"ICD_CODE", "ICD_VERSION", "LONG_TITLE"});
    table.ForEachRow([&](const CsvRow& row) {
      const std::string title = CollapseSpace(row[2]);
      if (IsMissing(title)) return;
      const int64_t version = row.Integer(1);
      if (version != 9 && version != 10) row.Fail(1, "9 or 10");
      const std::string code =
          version == 9 ? CanonicalId(row[0]) : CanonicalIcd10(StrCat(kIcd10, row[0]));
      titles.fallback.try_emplace(code, title);
    });
    return titles;
  }

 private:
  fs::path hosp_, note_, mappings_;
  bool crosswalk_;
};

std::unique_ptr<Hospital> Open(const DataOptions& options) {
  if (options.visit_order == "id") {
    throw UsageError(
        "data.visit_order is id, but the HADM_IDs of mimic4 are random; expected time");
  }
  return std::make_unique<Mimic4>(options);
}

}  // namespace

Layout Mimic4Layout() {
  return {"mimic4",
          {{"hosp", "ADMISSIONS"},
           {"hosp", "DIAGNOSES_ICD"},
           {"hosp", "D_ICD_DIAGNOSES"},
           {"hosp", "D_ICD_PROCEDURES"},
           {"hosp", "PATIENTS"},
           {"hosp", "PRESCRIPTIONS"},
           {"hosp", "PROCEDURES_ICD"},
           {"note", kNotes},
           {"", "ORACLE"}},
          {"drugbank_to_name", "drugbank_to_smiles", "icd9_diagnoses", "icd9_procedures",
           "icd10_to_icd9_diagnoses", "icd10_to_icd9_procedures", "ndc9_to_drugbank"},
          Open};
}

}  // namespace flame
