// MIMIC-III v1.4 (https://mimic.mit.edu/docs/iii): all tables in one folder.
#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "base/error.h"
#include "data/hospitals/layouts.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/mimic_tables.h"
#include "data/hospitals/owner_check.h"
#include "data/hospitals/person_facts.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

struct Person {
  char gender = 'U';
  std::optional<Moment> born;
  bool operator==(const Person&) const = default;
};
using Persons = std::unordered_map<int64_t, Person>;

Persons ReadPersons(const fs::path& root) {
  Persons persons;
  const CsvTable table(root, "PATIENTS", {"SUBJECT_ID", "GENDER", "DOB"});
  GenderReader gender;
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const Person person{gender.Read(row, 1), TimeIfAny(row, 2)};
    const auto [entry, added] = persons.try_emplace(row.Integer(0), person);
    if (added || entry->second == person) return;
    throw DataError(table.path(), ": ", row.Where(), ", gives SUBJECT_ID ", row[0],
                    " another GENDER or DOB than an earlier row; expected one row of a patient");
  });
  gender.Warn(table);
  return persons;
}

// Returns the difference of the calendar years of birth and admission, as the authors take it.
int32_t AgeOf(const Visit& visit, const Person& person, Moment admitted, const std::string& file) {
  if (!person.born) throw DataError(file, ": no DOB of SUBJECT_ID ", visit.subject);
  const int32_t age = YearOf(admitted) - YearOf(*person.born);
  if (age < 0) {
    throw DataError(file, ": HADM_ID ", visit.hadm, " was admitted in ", YearOf(admitted),
                    ", before the birth of SUBJECT_ID ", visit.subject, " in ",
                    YearOf(*person.born));
  }
  return std::min(age, kAgeCap);
}

bool IsError(std::string_view mark) {
  const std::string error = CanonicalId(mark);
  return !IsMissing(error) && error != "0" && error != "0.0" && error != "FALSE";
}

class Mimic3 : public Hospital {
 public:
  explicit Mimic3(const DataOptions& options)
      : root_(options.root), mappings_(MappingsFolder(options)) {}

  Admissions ReadAdmissions() const override { return ReadMimicAdmissions(root_); }
  std::string admissions_file() const override {
    return CsvTable::Find(root_, "ADMISSIONS").string();
  }

  CodeTable ReadPrescriptions(const Admissions& admissions, FunnelLog* funnel) const override {
    return ReadMimicPrescriptions(root_, admissions, funnel);
  }

  std::unique_ptr<DrugMap> Drugs() const override { return OpenNdcMap(mappings_); }

  CodeTable ReadCodes(CodeKind kind, const Admissions& admissions,
                      FunnelLog* funnel) const override {
    return ReadMimicCodes(root_, kind, "ICD9_CODE", /*version_column=*/"", admissions, funnel);
  }

  // Phrases are parted by semicolons or backslashes.
  CodeTable ReadAdmissionDiagnoses() const override {
    CodeTable codes;
    std::unordered_map<int64_t, std::string> texts;
    const CsvTable table(root_, "ADMISSIONS", {"SUBJECT_ID", "HADM_ID", "DIAGNOSIS"});
    table.ForEachRowOfFilled([&](const CsvRow& row) {
      const auto [first, added] = texts.try_emplace(row.Integer(1), row[2]);
      if (!added && first->second != row[2]) row.Fail(2, "the DIAGNOSIS of an earlier row");
      std::string_view left = row[2];
      while (!left.empty()) {
        const size_t end = std::min(left.find_first_of(";\\"), left.size());
        const std::string phrase = CanonicalId(CollapseSpace(left.substr(0, end)));
        left.remove_prefix(std::min(end + 1, left.size()));
        if (IsMissing(phrase)) continue;
        codes.rows.push_back({row.Integer(0), row.Integer(1), codes.codes.IdOf(phrase), 0});
      }
    });
    DropDuplicates(&codes.rows);
    return codes;
  }

  void Describe(const Admissions& admissions, std::vector<Visit>* visits) const override {
    const std::string file = CsvTable(root_, "PATIENTS", {}).path();
    const Persons persons = ReadPersons(root_);
    for (Visit& visit : *visits) {
      const auto person = persons.find(visit.subject);
      if (person == persons.end()) {
        throw DataError(file, ": no SUBJECT_ID ", visit.subject, ", whose HADM_ID ", visit.hadm,
                        " has prescriptions");
      }
      visit.gender = person->second.gender;
      visit.age = AgeOf(visit, person->second, *admissions.at(visit.hadm).admitted, file);
    }
  }

  // The first discharge summary that has any of the kept sections is an admission's note.
  Notes ReadNotes(const Admissions& admissions) const override {
    std::vector<std::string> columns = {"HADM_ID", "CATEGORY", "ISERROR", "TEXT"};
    const bool has_subject = CsvTable(root_, "NOTEEVENTS", columns).Has("SUBJECT_ID");
    if (has_subject) columns.push_back("SUBJECT_ID");
    const CsvTable table(root_, "NOTEEVENTS", columns);
    // A category is written in one way or two in a whole table.
    std::map<std::string, bool, std::less<>> summaries;
    const auto is_summary = [&](std::string_view category) {
      const auto known = summaries.find(category);
      if (known != summaries.end()) return known->second;
      return summaries[std::string(category)] =
                 CanonicalId(CollapseSpace(category)) == "DISCHARGE SUMMARY";
    };
    const auto check = std::make_shared<OwnerCheck>(admissions);
    Notes notes;
    notes.expected = "rows of CATEGORY 'Discharge summary' with a section such as Allergies";
    notes.place = "NOTEEVENTS; a hospital without notes has no row in it";
    notes.rows = table.ForEachRow([&](const CsvRow& row) {
      if (row[0].empty() || !is_summary(row[1]) || IsError(row[2])) return;
      const int64_t hadm = row.Integer(0);
      if (has_subject && !row[4].empty()) check->See(row, row.Integer(4), hadm);
      KeepFirstNote(hadm, row[3], &notes);
    });
    notes.check = [check, table] { check->Finish(table); };
    return notes;
  }

  OwnTitles ReadTitles(CodeKind kind) const override {
    const char* stem = kind == CodeKind::kProcedure ? "D_ICD_PROCEDURES" : "D_ICD_DIAGNOSES";
    OwnTitles titles;
    if (CsvTable::Exists(root_, stem)) titles.first = ReadIcd9Titles(root_, stem, kind);
    return titles;
  }

 private:
  fs::path root_, mappings_;
};

std::unique_ptr<Hospital> Open(const DataOptions& options) {
  RefuseIcd10Crosswalk(options);
  return std::make_unique<Mimic3>(options);
}

}  // namespace

Layout Mimic3Layout(std::string name) {
  return {std::move(name),
          {{"", "ADMISSIONS"},
           {"", "DIAGNOSES_ICD"},
           {"", "D_ICD_DIAGNOSES"},
           {"", "D_ICD_PROCEDURES"},
           {"", "NOTEEVENTS"},
           {"", "ORACLE"},
           {"", "PATIENTS"},
           {"", "PRESCRIPTIONS"},
           {"", "PROCEDURES_ICD"}},
          {"drugbank_to_name", "drugbank_to_smiles", "icd9_diagnoses", "icd9_procedures",
           "ndc9_to_drugbank"},
          Open};
}

}  // namespace flame
