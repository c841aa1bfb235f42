#include "data/hospitals/prepare.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/cohort.h"
#include "data/hospitals/csv_table.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kAgeCap = 90;

struct Admission {
  std::string time;  // ISO 8601, so that text order is time order
  std::string note;
  float oracle_list = -1, oracle_threshold = -1;
};
using Admissions = std::unordered_map<int64_t, Admission>;

struct Person {
  char gender = 'U';
  std::string born;
};

void CheckOptions(const DataOptions& options) {
  if (options.root.empty()) {
    throw UsageError("data.root is empty; expected the folder with PATIENTS and the other tables");
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

Admissions ReadAdmissions(const fs::path& root, const std::vector<Visit>& visits) {
  Admissions admissions;
  for (const Visit& visit : visits) admissions[visit.hadm];
  const CsvTable table(root, "ADMISSIONS", {"HADM_ID", "ADMITTIME"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const auto admission = admissions.find(row.Integer(0));
    if (admission != admissions.end()) admission->second.time = row[1];
  });
  for (const Visit& visit : visits) {
    if (admissions[visit.hadm].time.empty()) {
      throw DataError(table.path(), ": no ADMITTIME of HADM_ID ", visit.hadm,
                      ", which has prescriptions");
    }
  }
  return admissions;
}

// Keeps, for each admission, the first discharge summary that has any of the kept sections.
void ReadNotes(const fs::path& root, Admissions* admissions) {
  const CsvTable table(root, "NOTEEVENTS", {"HADM_ID", "CATEGORY", "ISERROR", "TEXT"});
  table.ForEachRow([&](const CsvRow& row) {
    if (row[1] != "Discharge summary" || row[2] == "1" || row[0].empty()) return;
    const auto admission = admissions->find(row.Integer(0));
    if (admission == admissions->end() || !admission->second.note.empty()) return;
    admission->second.note = AdmissionNote(row[3]);
  });
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
  CsvTable(root, "PATIENTS", {"SUBJECT_ID", "GENDER", "DOB"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        const bool known = row[1] == "F" || row[1] == "M";
        persons[row.Integer(0)] = {known ? row[1][0] : 'U', std::string(row[2])};
      });
  return persons;
}

int32_t YearOf(const std::string& date, const std::string& what) {
  int32_t year = 0;
  const char* end = date.data() + std::min<size_t>(date.size(), 4);
  const auto [stop, error] = std::from_chars(date.data(), end, year);
  if (error != std::errc() || stop != end || date.size() < 8) {
    throw DataError(what, " is '", date, "'; expected a date such as 2164-10-23 21:09:00");
  }
  return year;
}

// Returns the difference of the calendar years of birth and admission, as the authors take it,
// capped at kAgeCap.
int32_t AgeOf(const Visit& visit, const std::string& born, const std::string& admitted) {
  const int32_t age = YearOf(admitted, StrCat("ADMITTIME of HADM_ID ", visit.hadm)) -
                      YearOf(born, StrCat("DOB of SUBJECT_ID ", visit.subject));
  if (age < 0) {
    throw DataError("HADM_ID ", visit.hadm, " was admitted on ", admitted,
                    ", before the birth of SUBJECT_ID ", visit.subject, " on ", born);
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
    visit.age = AgeOf(visit, person->second.born, admission.time);
    visit.note = std::move(admission.note);
    visit.oracle_list = admission.oracle_list;
    visit.oracle_threshold = admission.oracle_threshold;
  }
}

// Orders patients by id, and a patient's visits by admission time or by id. They come ordered by
// id.
void OrderVisits(const std::string& order, const Admissions& admissions,
                 std::vector<Visit>* visits) {
  if (order == "id") return;
  std::stable_sort(visits->begin(), visits->end(), [&](const Visit& a, const Visit& b) {
    if (a.subject != b.subject) return a.subject < b.subject;
    return admissions.at(a.hadm).time < admissions.at(b.hadm).time;
  });
}

void LinkPatients(Corpus* corpus) {
  for (size_t i = 0; i < corpus->visits.size(); ++i) {
    Visit& visit = corpus->visits[i];
    const bool same = i > 0 && corpus->visits[i - 1].subject == visit.subject;
    if (!same) ++corpus->num_patients;
    visit.patient = corpus->num_patients - 1;
    visit.previous = same ? static_cast<int32_t>(i) - 1 : -1;
  }
}

void SplitByPosition(const std::vector<int64_t>& shares, std::vector<Visit>* visits) {
  const int64_t n = static_cast<int64_t>(visits->size());
  const int64_t sum = shares[0] + shares[1] + shares[2];
  const int64_t train_end = n * shares[0] / sum;
  const int64_t validation_end = n * (shares[0] + shares[1]) / sum;
  for (int64_t i = 0; i < n; ++i) {
    (*visits)[i].split = i < train_end        ? Split::kTrain
                         : i < validation_end ? Split::kValidation
                                              : Split::kTest;
  }
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
  const fs::path& root = options.root;
  const fs::path folder = options.mappings.empty() ? root / "mappings" : options.mappings;
  const Cohort cohort = SelectCohort(options, ReadNdcMap(folder), ReadDrugsWithStructure(folder));

  Corpus corpus;
  corpus.hospital = options.hospital;
  std::vector<Visit>& visits = corpus.visits = GroupByAdmission(cohort);
  Admissions admissions = ReadAdmissions(root, visits);
  ReadNotes(root, &admissions);
  ReadOracle(root, &admissions);
  FillVisits(ReadPersons(root), &admissions, &visits);
  OrderVisits(options.visit_order, admissions, &visits);
  LinkPatients(&corpus);
  SplitByPosition(options.split, &visits);

  Vocabulary &diagnoses = corpus.diagnoses, &procedures = corpus.procedures, &drugs = corpus.drugs;
  diagnoses.codes = BuildVocabulary(cohort.diagnoses, &Visit::diagnoses, &visits);
  procedures.codes = BuildVocabulary(cohort.procedures, &Visit::procedures, &visits);
  drugs.codes = BuildVocabulary(cohort.drugs, &Visit::drugs, &visits);
  diagnoses.titles = CodeTitles(folder, root, CodeKind::kDiagnosis, diagnoses.codes);
  procedures.titles = CodeTitles(folder, root, CodeKind::kProcedure, procedures.codes);
  drugs.titles = DrugNames(folder, drugs.codes);
  corpus.ddi = ReadDdiPairs(folder, options.ddi, drugs.codes);
  LogInfo("prepare: ", visits.size(), " visits of ", corpus.num_patients, " patients, ",
          drugs.size(), " drugs, ", diagnoses.size(), " diagnoses, ", procedures.size(),
          " procedures");
  return corpus;
}

}  // namespace flame
