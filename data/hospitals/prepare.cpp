#include "data/hospitals/prepare.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/calendar.h"
#include "data/hospitals/cohort.h"
#include "data/hospitals/coverage_counter.h"
#include "data/hospitals/csv_table.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/note_sections.h"
#include "data/hospitals/records.h"
#include "data/hospitals/split.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kAgeCap = 90;

struct Admission {
  int64_t subject = 0;
  std::optional<Moment> admitted, discharged;
  std::string note;
  float oracle_list = -1, oracle_threshold = -1;
};
using Admissions = std::unordered_map<int64_t, Admission>;

struct Person {
  char gender = 'U';
  std::optional<Moment> born;
  bool operator==(const Person&) const = default;
};

void CheckOptions(const DataOptions& options) {
  if (options.root.empty()) {
    throw UsageError(
        "data.root is empty; expected the folder with PATIENTS and the other tables, or "
        "the file of data.hospital: records");
  }
  int64_t sum = 0;
  for (int64_t share : options.split) sum += share;
  if (options.split.size() != 3 || sum <= 0) {
    throw UsageError("data.split has ", options.split.size(), " shares that sum to ", sum,
                     "; expected three, of train, validation and test, such as [4, 1, 1]");
  }
}

// Returns one visit for each admission of the cohort. Its codes are still those of the cohort's
// tables.
std::vector<Visit> GroupByAdmission(const Cohort& cohort) {
  std::map<std::pair<int64_t, int64_t>, Visit> visits;
  const auto add = [&](const CodeTable& table, std::vector<int32_t> Visit::*list) {
    for (const CodeRow& row : table.rows) {
      Visit& visit = visits[{row.subject, row.hadm}];
      visit.subject = row.subject;
      visit.hadm = row.hadm;
      std::vector<int32_t>& codes = visit.*list;
      if (std::find(codes.begin(), codes.end(), row.code) == codes.end()) {
        codes.push_back(row.code);
      }
    }
  };
  add(cohort.diagnoses, &Visit::diagnoses);
  add(cohort.procedures, &Visit::procedures);
  add(cohort.drugs, &Visit::drugs);
  std::vector<Visit> ordered;
  for (auto& [key, visit] : visits) ordered.push_back(std::move(visit));
  return ordered;
}

std::optional<Moment> TimeIfAny(const CsvRow& row, size_t column) {
  if (row[column].empty()) return std::nullopt;
  return row.Time(column);
}

// Reads all admissions. Two rows of one admission must say the same.
Admissions ReadAdmissions(const fs::path& root) {
  Admissions admissions;
  const CsvTable table(root, "ADMISSIONS", {"SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const Admission read{row.Integer(0), TimeIfAny(row, 2), TimeIfAny(row, 3), "", -1, -1};
    const auto [entry, added] = admissions.try_emplace(row.Integer(1), read);
    const Admission& first = entry->second;
    if (!added && (first.subject != read.subject || first.admitted != read.admitted ||
                   first.discharged != read.discharged)) {
      throw DataError(table.path(), ": data row ", row.number(), " gives HADM_ID ", row[1],
                      " another SUBJECT_ID, ADMITTIME or DISCHTIME than an earlier row; expected ",
                      "one row of an admission");
    }
  });
  return admissions;
}

AdmissionOwners OwnersOf(const Admissions& admissions) {
  AdmissionOwners owners;
  for (const auto& [hadm, admission] : admissions) owners[hadm] = admission.subject;
  return owners;
}

// Throws DataError unless every visit has a time of admission.
void CheckAdmitted(const fs::path& root, const std::vector<Visit>& visits,
                   const Admissions& admissions) {
  for (const Visit& visit : visits) {
    const auto admission = admissions.find(visit.hadm);
    if (admission != admissions.end() && admission->second.admitted) continue;
    throw DataError(CsvTable(root, "ADMISSIONS", {}).path(), ": no ADMITTIME of HADM_ID ",
                    visit.hadm, ", which has prescriptions");
  }
}

// Counts the visits that have a note. `with_summary`: those that have a discharge summary.
Coverage CoverageOfNotes(const std::vector<Visit>& visits, const Admissions& admissions,
                         const std::unordered_set<int64_t>& with_summary) {
  CoverageCounter counter("visits with a note",
                          "rows of CATEGORY 'Discharge summary' with a section such as Allergies",
                          "NOTEEVENTS; a hospital without notes has no row in it");
  for (const Visit& visit : visits) {
    if (!admissions.at(visit.hadm).note.empty()) {
      counter.AddMatch(/*repaired=*/false);
    } else {
      counter.AddMiss(with_summary.contains(visit.hadm) ? "summary without such a section"
                                                        : "no discharge summary");
    }
  }
  return counter.Finish();
}

// Keeps, for each visit's admission, the first discharge summary that has any of the kept sections.
Coverage ReadNotes(const fs::path& root, const std::vector<Visit>& visits, Admissions* admissions) {
  std::unordered_set<int64_t> kept, with_summary;
  for (const Visit& visit : visits) kept.insert(visit.hadm);
  std::vector<std::string> columns = {"HADM_ID", "CATEGORY", "ISERROR", "TEXT"};
  const bool has_subject = CsvTable(root, "NOTEEVENTS", columns).Has("SUBJECT_ID");
  if (has_subject) columns.push_back("SUBJECT_ID");
  const CsvTable table(root, "NOTEEVENTS", columns);
  const AdmissionOwners owners = OwnersOf(*admissions);
  OwnerCheck check(owners);
  const int64_t rows = table.ForEachRow([&](const CsvRow& row) {
    if (CanonicalId(CollapseSpace(row[1])) != "DISCHARGE SUMMARY" || row[0].empty()) return;
    const std::string error = CanonicalId(row[2]);
    if (!IsMissing(error) && error != "0" && error != "0.0" && error != "FALSE") return;
    const int64_t hadm = row.Integer(0);
    if (has_subject && !row[4].empty()) check.See(row, row.Integer(4), hadm);
    if (!kept.contains(hadm) || !admissions->at(hadm).note.empty()) return;
    with_summary.insert(hadm);
    admissions->at(hadm).note = AdmissionNote(row[3]);
  });
  check.Finish(table);
  if (rows == 0) return {"visits with a note", 0, 0, 0, ""};
  return CoverageOfNotes(visits, *admissions, with_summary);
}

void ReadOracle(const fs::path& root, Admissions* admissions) {
  if (!CsvTable::Exists(root, "ORACLE")) return;
  const CsvTable table(root, "ORACLE", {"HADM_ID", "ORACLE_LIST", "ORACLE_THRESHOLD"});
  table.ForEachRow([&](const CsvRow& row) {
    const auto admission = admissions->find(row.Integer(0));
    if (admission == admissions->end()) return;
    admission->second.oracle_list = static_cast<float>(row.Number(1));
    admission->second.oracle_threshold = static_cast<float>(row.Number(2));
  });
}

std::unordered_map<int64_t, Person> ReadPersons(const fs::path& root) {
  std::unordered_map<int64_t, Person> persons;
  const CsvTable table(root, "PATIENTS", {"SUBJECT_ID", "GENDER", "DOB"});
  int64_t unknown = 0;
  std::string first;
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const std::string gender = CanonicalId(row[1]);
    const bool female = gender == "F" || gender == "FEMALE";
    const bool male = gender == "M" || gender == "MALE";
    if (!female && !male && gender != "U" && !IsMissing(gender) && ++unknown == 1) first = gender;
    const Person person{female ? 'F' : male ? 'M' : 'U', TimeIfAny(row, 2)};
    const auto [entry, added] = persons.try_emplace(row.Integer(0), person);
    if (added || entry->second == person) return;
    throw DataError(table.path(), ": data row ", row.number(), " gives SUBJECT_ID ", row[0],
                    " another GENDER or DOB than an earlier row; expected one row of a patient");
  });
  if (unknown > 0) {
    LogWarning("prepare: ", table.path(), ": ", unknown, " rows have a GENDER such as '", first,
               "', which counts as unknown; expected F or M");
  }
  return persons;
}

// Returns the difference of the calendar years of birth and admission, as the authors take it,
// capped at kAgeCap.
int32_t AgeOf(const Visit& visit, const Person& person, Moment admitted) {
  if (!person.born) throw DataError("PATIENTS has no DOB of SUBJECT_ID ", visit.subject);
  const int32_t age = YearOf(admitted) - YearOf(*person.born);
  if (age < 0) {
    throw DataError("HADM_ID ", visit.hadm, " was admitted in ", YearOf(admitted),
                    ", before the birth of SUBJECT_ID ", visit.subject, " in ",
                    YearOf(*person.born));
  }
  return std::min(age, kAgeCap);
}

void FillVisits(const std::unordered_map<int64_t, Person>& persons, Admissions* admissions,
                std::vector<Visit>* visits) {
  for (Visit& visit : *visits) {
    Admission& admission = admissions->at(visit.hadm);
    const auto person = persons.find(visit.subject);
    if (person == persons.end()) {
      throw DataError("PATIENTS has no SUBJECT_ID ", visit.subject, ", whose HADM_ID ", visit.hadm,
                      " has prescriptions");
    }
    visit.gender = person->second.gender;
    visit.age = AgeOf(visit, person->second, *admission.admitted);
    visit.note = std::move(admission.note);
    visit.oracle_list = admission.oracle_list;
    visit.oracle_threshold = admission.oracle_threshold;
  }
}

// Warns of admissions whose end is missing or before their begin: whether the next visit began
// before it is not known.
void WarnOfEnds(const std::vector<Visit>& visits, const Admissions& admissions) {
  int64_t missing = 0, before = 0;
  std::string first;
  for (const Visit& visit : visits) {
    const Admission& admission = admissions.at(visit.hadm);
    const bool is_before = admission.discharged && *admission.discharged < *admission.admitted;
    if (is_before && ++before == 1) first = StrCat(", such as HADM_ID ", visit.hadm);
    if (!admission.discharged) ++missing;
  }
  if (missing + before == 0) return;
  LogWarning("prepare: ADMISSIONS: ", missing, " of ", visits.size(),
             " visits have no DISCHTIME, and ", before, " one before their ADMITTIME", first,
             "; each counts as ended when the next visit of its patient begins");
}

// Orders patients by id, and a patient's visits by admission time or by id. They come ordered by
// id.
void OrderVisits(const std::string& order, const Admissions& admissions,
                 std::vector<Visit>* visits) {
  if (order == "id") return;
  std::stable_sort(visits->begin(), visits->end(), [&](const Visit& a, const Visit& b) {
    if (a.subject != b.subject) return a.subject < b.subject;
    return admissions.at(a.hadm).admitted < admissions.at(b.hadm).admitted;
  });
}

// True unless the earlier visit is known to have gone on when the later one began.
bool EndsBefore(const Admission& earlier, const Admission& later) {
  return !earlier.discharged || *earlier.discharged <= *later.admitted;
}

// Numbers the patients and links every visit to its previous one: the last before it that had ended
// when it began, since a visit that went on would tell the answer. In the authors' order it is the
// visit before, whatever the times; such visits are counted.
void LinkPatients(const std::string& order, const Admissions& admissions, Corpus* corpus) {
  std::vector<Visit>& visits = corpus->visits;
  int64_t overlaps = 0;
  std::string first;
  for (int32_t i = 0; i < static_cast<int32_t>(visits.size()); ++i) {
    const auto of_patient = [&](int32_t v) {
      return v >= 0 && visits[v].subject == visits[i].subject;
    };
    if (!of_patient(i - 1)) ++corpus->num_patients;
    visits[i].patient = corpus->num_patients - 1;
    int32_t previous = i - 1;
    const auto ends_before = [&](int32_t v) {
      return EndsBefore(admissions.at(visits[v].hadm), admissions.at(visits[i].hadm));
    };
    if (of_patient(previous) && !ends_before(previous)) {
      if (++overlaps == 1) first = StrCat(visits[previous].hadm, " and ", visits[i].hadm);
      while (order == "time" && of_patient(previous) && !ends_before(previous)) --previous;
    }
    visits[i].previous = of_patient(previous) ? previous : -1;
  }
  if (overlaps == 0) return;
  LogWarning("prepare: ", overlaps, " visits begin before the one that precedes them has ended, ",
             "such as HADM_ID ", first,
             order == "time" ? "; their previous visit is the last that had ended"
                             : "; data.visit_order=id makes it their previous visit all the same, "
                               "whose drugs may tell theirs");
}

// Renumbers one list of every visit by first appearance over all visits. Returns the codes.
std::vector<std::string> BuildVocabulary(const CodeTable& table, std::vector<int32_t> Visit::*list,
                                         std::vector<Visit>* visits) {
  std::vector<int32_t> index(table.codes.size(), -1);
  std::vector<std::string> codes;
  for (Visit& visit : *visits) {
    for (int32_t& code : visit.*list) {
      if (index[code] < 0) {
        index[code] = static_cast<int32_t>(codes.size());
        codes.push_back(table.codes.Text(code));
      }
      code = index[code];
    }
  }
  return codes;
}

}  // namespace

Corpus PrepareCorpus(const DataOptions& options) {
  CheckOptions(options);
  if (options.hospital == "records") return ReadRecords(options);
  const fs::path& root = options.root;
  const fs::path folder = options.mappings.empty() ? root / "mappings" : options.mappings;
  Admissions admissions = ReadAdmissions(root);
  const Cohort cohort = SelectCohort(options, OwnersOf(admissions), ReadNdcMap(folder),
                                     ReadDrugsWithStructure(folder));

  Corpus corpus;
  corpus.hospital = options.hospital;
  std::vector<Visit>& visits = corpus.visits = GroupByAdmission(cohort);
  CheckAdmitted(root, visits, admissions);
  const Coverage notes = ReadNotes(root, visits, &admissions);
  ReadOracle(root, &admissions);
  FillVisits(ReadPersons(root), &admissions, &visits);
  WarnOfEnds(visits, admissions);
  OrderVisits(options.visit_order, admissions, &visits);
  LinkPatients(options.visit_order, admissions, &corpus);
  SplitByPosition(options.split, &visits);

  Vocabulary &diagnoses = corpus.diagnoses, &procedures = corpus.procedures, &drugs = corpus.drugs;
  diagnoses.codes = BuildVocabulary(cohort.diagnoses, &Visit::diagnoses, &visits);
  procedures.codes = BuildVocabulary(cohort.procedures, &Visit::procedures, &visits);
  drugs.codes = BuildVocabulary(cohort.drugs, &Visit::drugs, &visits);
  corpus.coverage = cohort.coverage;
  corpus.coverage.push_back(notes);
  const auto cover = [&corpus] { return &corpus.coverage.emplace_back(); };
  diagnoses.titles = CodeTitles(folder, root, CodeKind::kDiagnosis, diagnoses.codes, cover());
  procedures.titles = CodeTitles(folder, root, CodeKind::kProcedure, procedures.codes, cover());
  drugs.titles = DrugNames(folder, drugs.codes, cover());
  corpus.ddi = ReadDdiPairs(folder, options.ddi, drugs.codes, cover());
  LogInfo("prepare: ", visits.size(), " visits of ", corpus.num_patients, " patients, ",
          drugs.size(), " drugs, ", diagnoses.size(), " diagnoses, ", procedures.size(),
          " procedures");
  return corpus;
}

}  // namespace flame
