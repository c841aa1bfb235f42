#include "data/hospitals/prepare.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/background.h"
#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/cohort.h"
#include "data/hospitals/drug_mapping.h"
#include "data/hospitals/known_diagnoses.h"
#include "data/hospitals/layouts.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/records.h"
#include "data/hospitals/split.h"
#include "data/tables/calendar.h"
#include "data/tables/coverage_counter.h"
#include "data/tables/csv_table.h"
#include "data/tables/read_progress.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

void CheckOptions(const DataOptions& options) {
  if (options.root.empty()) {
    throw UsageError(
        "data.root is empty; expected the folder with PATIENTS and the other tables, or "
        "the file of data.hospital: records");
  }
  if (options.diagnoses == "previous" && options.visit_order == "id") {
    throw UsageError(
        "data.diagnoses is previous, but data.visit_order is id, whose previous visit ",
        "may be a later one; expected data.visit_order time");
  }
  int64_t sum = 0;
  for (int64_t share : options.split) sum += share;
  if (options.split.size() != 3 || sum <= 0) {
    throw UsageError("data.split has ", options.split.size(), " shares that sum to ", sum,
                     "; expected three, of train, validation and test, such as [4, 1, 1]");
  }
  if (options.hospital == "records" && !options.drug_mapping.empty()) {
    throw UsageError(
        "data.drug_mapping is given, but the file of data.hospital: records names its ",
        "drugs itself; expected none");
  }
}

// Returns one visit for each admission of the cohort. Its codes are still those of the cohort's
// tables.
std::vector<Visit> GroupByAdmission(const Cohort& cohort) {
  std::map<std::pair<int64_t, int64_t>, Visit> visits;
  const auto add = [&](const std::vector<CodeRow>& rows, std::vector<int32_t> Visit::*list) {
    Visit* visit = nullptr;
    for (const CodeRow& row : rows) {
      // The rows of an admission stand together in most tables.
      if (visit == nullptr || visit->hadm != row.hadm || visit->subject != row.subject) {
        visit = &visits[{row.subject, row.hadm}];
        visit->subject = row.subject;
        visit->hadm = row.hadm;
      }
      (visit->*list).push_back(row.code);
    }
  };
  add(cohort.diagnoses.rows, &Visit::diagnoses);
  add(cohort.procedures.rows, &Visit::procedures);
  // A drug may have been ordered by several names.
  std::vector<CodeRow> drugs = cohort.drugs.rows;
  for (CodeRow& row : drugs) row.name = 0;
  DropDuplicates(&drugs);
  add(drugs, &Visit::drugs);
  std::vector<Visit> ordered;
  for (auto& [key, visit] : visits) ordered.push_back(std::move(visit));
  return ordered;
}

// Throws DataError unless every visit has a time of admission.
void CheckAdmitted(const std::string& file, const std::vector<Visit>& visits,
                   const Admissions& admissions) {
  for (const Visit& visit : visits) {
    const auto admission = admissions.find(visit.hadm);
    if (admission != admissions.end() && admission->second.admitted) continue;
    throw DataError(file, ": no ADMITTIME of HADM_ID ", visit.hadm, ", which has prescriptions");
  }
}

void SetTimes(const Admissions& admissions, std::vector<Visit>* visits) {
  for (Visit& visit : *visits) {
    const Admission& admission = admissions.at(visit.hadm);
    visit.admitted = admission.admitted->time_since_epoch().count();
    if (admission.discharged) visit.discharged = admission.discharged->time_since_epoch().count();
  }
}

// Gives the visits their notes, and counts those that have one.
Coverage AddNotes(const Notes& notes, std::vector<Visit>* visits) {
  if (notes.check) notes.check();
  if (notes.rows == 0) return {"visits with a note", 0, 0, 0, ""};
  CoverageCounter counter("visits with a note", notes.expected, notes.place);
  for (Visit& visit : *visits) {
    const auto note = notes.of.find(visit.hadm);
    if (note != notes.of.end()) {
      visit.note = note->second;
      counter.AddMatch(/*repaired=*/false);
    } else {
      counter.AddMiss(notes.without_sections.contains(visit.hadm) ? "summary without such a section"
                                                                  : notes.missing);
    }
  }
  return counter.Finish();
}

// Reads ORACLE.csv, which a hospital made by the program has in any layout. It is of all drugs, so
// visits that have lost some have none.
void AddOracle(const fs::path& root, bool lost_drugs, std::vector<Visit>* visits) {
  if (!CsvTable::Exists(root, "ORACLE")) return;
  if (lost_drugs) {
    LogWarning(
        "prepare: ORACLE is of all drugs, of which some are left out here; the ceilings are ",
        "not known");
    return;
  }
  std::unordered_map<int64_t, Visit*> of;
  for (Visit& visit : *visits) of[visit.hadm] = &visit;
  const CsvTable table(root, "ORACLE", {"HADM_ID", "ORACLE_LIST", "ORACLE_THRESHOLD"});
  table.ForEachRow([&](const CsvRow& row) {
    const auto visit = of.find(row.Integer(0));
    if (visit == of.end()) return;
    visit->second->oracle_list = static_cast<float>(row.Number(1));
    visit->second->oracle_threshold = static_cast<float>(row.Number(2));
  });
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
  if (*earlier.admitted == *later.admitted) return false;
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

// Replaces the diagnoses of the visits as data.diagnoses has it. Returns the table of their codes.
const CodeTable* ChooseDiagnoses(const DataOptions& options, const Hospital& hospital,
                                 const CodeTable& discharge, CodeTable* admission,
                                 std::vector<Visit>* visits) {
  if (options.diagnoses == "previous") UseEarlierDiagnoses(visits);
  if (options.diagnoses != "admission") return &discharge;
  *admission = hospital.ReadAdmissionDiagnoses();
  const int64_t used = UseDiagnosesOf(*admission, options.min_code_rows, visits);
  LogInfo("prepare: diagnoses at admission with more than ", options.min_code_rows, " rows: ", used,
          " rows");
  if (used == 0) {
    throw DataError("no diagnosis at admission has more than ", options.min_code_rows,
                    " rows among the visits (data.min_code_rows); expected one at least");
  }
  return admission;
}

// Renumbers one list of every visit: codes of `base`, which may be null, keep their indices, others
// follow by first appearance over all visits. Returns the codes.
Vocabulary BuildVocabulary(const CodeTable& table, std::vector<int32_t> Visit::*list,
                           const Vocabulary* base, std::vector<Visit>* visits) {
  Vocabulary vocabulary;
  std::unordered_map<std::string, int32_t> known;
  if (base != nullptr) {
    vocabulary.codes = base->codes;
    vocabulary.first_unknown = base->size();
    for (int32_t i = 0; i < base->size(); ++i) known[base->codes[i]] = i;
  }
  std::vector<int32_t> index(table.codes.size(), -1);
  for (int32_t i = 0; i < table.codes.size(); ++i) {
    const auto found = known.find(table.codes.Text(i));
    if (found != known.end()) index[i] = found->second;
  }
  for (Visit& visit : *visits) {
    for (int32_t& code : visit.*list) {
      if (index[code] < 0) {
        index[code] = vocabulary.size();
        vocabulary.codes.push_back(table.codes.Text(code));
      }
      code = index[code];
    }
  }
  return vocabulary;
}

// Titles of a vocabulary's codes: the base's keep theirs.
class TitleFinder {
 public:
  TitleFinder(const Hospital& hospital, const fs::path& folder, Corpus* corpus)
      : hospital_(hospital), folder_(folder), corpus_(corpus) {}
  void Set(CodeKind kind, const Vocabulary* base, Vocabulary* vocabulary) const {
    vocabulary->titles = CodeTitles(folder_, hospital_.ReadTitles(kind), kind, vocabulary->codes,
                                    &corpus_->coverage.emplace_back());
    if (base == nullptr) return;
    std::copy(base->titles.begin(), base->titles.end(), vocabulary->titles.begin());
    LogUnknown(kind, vocabulary->size() - base->size(), vocabulary->size());
  }

 private:
  static void LogUnknown(CodeKind kind, int32_t unknown, int32_t all) {
    LogInfo("prepare: ", unknown, " of ", all,
            kind == CodeKind::kDiagnosis ? " diagnoses" : " procedures",
            " are not in the corpus onto which this is prepared; they are text without slots");
  }
  const Hospital& hospital_;
  const fs::path& folder_;
  Corpus* corpus_;
};

std::unordered_set<std::string> SetOf(const std::vector<std::string>& codes) {
  return {codes.begin(), codes.end()};
}

// Opens data.drug_mapping; null if there is none.
std::unique_ptr<DrugMapping> OpenDrugMapping(const DataOptions& options) {
  if (options.drug_mapping.empty()) return nullptr;
  return std::make_unique<DrugMapping>(options.drug_mapping,
                                       LayoutOf(options.hospital).names_drugs);
}

// Builds the vocabularies, and gives every code its title and the drugs their harmful pairs.
void SetCodes(const DataOptions& options, const Hospital& hospital, const Cohort& cohort,
              const DrugMapping* own_drugs, const Corpus* base, Corpus* corpus) {
  const fs::path folder = MappingsFolder(options);
  const bool onto = base != nullptr;
  CodeTable admission;
  const CodeTable* shown =
      ChooseDiagnoses(options, hospital, cohort.diagnoses, &admission, &corpus->visits);
  corpus->diagnoses_known = options.diagnoses;
  corpus->diagnoses = BuildVocabulary(*shown, &Visit::diagnoses, onto ? &base->diagnoses : nullptr,
                                      &corpus->visits);
  corpus->procedures = BuildVocabulary(cohort.procedures, &Visit::procedures,
                                       onto ? &base->procedures : nullptr, &corpus->visits);
  corpus->drugs =
      BuildVocabulary(cohort.drugs, &Visit::drugs, onto ? &base->drugs : nullptr, &corpus->visits);
  const TitleFinder titles(hospital, folder, corpus);
  if (shown == &admission) {
    corpus->diagnoses.titles = corpus->diagnoses.codes;
  } else {
    titles.Set(CodeKind::kDiagnosis, onto ? &base->diagnoses : nullptr, &corpus->diagnoses);
  }
  titles.Set(CodeKind::kProcedure, onto ? &base->procedures : nullptr, &corpus->procedures);
  if (onto) {
    corpus->drugs.titles = base->drugs.titles;
    corpus->ddi = base->ddi;
    return;
  }
  const auto cover = [corpus] { return &corpus->coverage.emplace_back(); };
  const std::vector<std::string>& drugs = corpus->drugs.codes;
  corpus->drugs.titles =
      own_drugs ? own_drugs->Names(drugs, cover()) : DrugNames(folder, drugs, cover());
  corpus->ddi = ReadDdiPairs(folder, options.ddi, drugs, own_drugs == nullptr, cover());
}

int64_t BytesOf(const Layout& layout, const fs::path& root) {
  int64_t bytes = 0;
  for (const auto& [folder, stem] : layout.tables) {
    const fs::path file = CsvTable::Find(root / folder, stem);
    if (fs::is_regular_file(file)) bytes += static_cast<int64_t>(fs::file_size(file));
  }
  return bytes;
}

// Prepares by itself, or onto `base` if that is not null.
Corpus Prepare(const DataOptions& options, const Corpus* base) {
  const Layout& layout = LayoutOf(options.hospital);
  const std::unique_ptr<Hospital> hospital = layout.open(options);
  const ReadProgress progress(BytesOf(layout, options.root));
  const Admissions admissions = hospital->ReadAdmissions();
  FunnelLog funnel;
  const std::unique_ptr<DrugMapping> own_drugs = OpenDrugMapping(options);
  const DrugBankIds with_structure =
      own_drugs ? DrugBankIds() : ReadDrugsWithStructure(MappingsFolder(options));
  KnownCodes known;
  if (base != nullptr) {
    known = {SetOf(base->diagnoses.codes), SetOf(base->procedures.codes), SetOf(base->drugs.codes)};
  }
  const CodeRules rules{own_drugs ? nullptr : &with_structure, base == nullptr ? nullptr : &known};
  const std::unique_ptr<DrugMap> drug_bank = own_drugs ? nullptr : hospital->Drugs();
  const DrugMap& drugs = own_drugs ? *own_drugs : *drug_bank;
  // Most of MIMIC-III's bytes are notes.
  std::future<Notes> reading_notes =
      std::async(kInBackground, [&] { return hospital->ReadNotes(admissions); });
  const Cohort cohort = SelectCohort(options, *hospital, admissions, drugs, rules, &funnel);

  Corpus corpus;
  corpus.hospital = options.hospital;
  std::vector<Visit>& visits = corpus.visits = GroupByAdmission(cohort);
  CheckAdmitted(hospital->admissions_file(), visits, admissions);
  SetTimes(admissions, &visits);
  const Coverage notes = AddNotes(reading_notes.get(), &visits);
  AddOracle(options.root, cohort.lost_drugs, &visits);
  hospital->Describe(admissions, &visits);
  WarnOfEnds(visits, admissions);
  OrderVisits(options.visit_order, admissions, &visits);
  LinkPatients(options.visit_order, admissions, &corpus);
  SplitVisits(options.split_by, options.split, &visits);
  if (base != nullptr) {
    for (Visit& visit : visits) visit.split = Split::kTest;
  }
  SetCodes(options, *hospital, cohort, own_drugs.get(), base, &corpus);
  corpus.funnel = funnel.steps();
  corpus.coverage.insert(corpus.coverage.begin(), notes);
  corpus.coverage.insert(corpus.coverage.begin(), cohort.coverage.begin(), cohort.coverage.end());
  LogInfo("prepare: ", visits.size(), " visits of ", corpus.num_patients, " patients, ",
          corpus.drugs.size(), " drugs, ", corpus.diagnoses.size(), " diagnoses, ",
          corpus.procedures.size(), " procedures");
  return corpus;
}

}  // namespace

Corpus PrepareCorpus(const DataOptions& options) {
  CheckOptions(options);
  if (options.hospital == "records") return ReadRecords(options);
  return Prepare(options, nullptr);
}

Corpus PrepareCorpusOnto(const DataOptions& options, const Corpus& base) {
  CheckOptions(options);
  if (options.hospital == "records") {
    throw UsageError(
        "data.hospital is records, which have their own codes; expected the tables of "
        "a hospital");
  }
  if (options.diagnoses != base.diagnoses_known) {
    throw UsageError("data.diagnoses is ", options.diagnoses,
                     ", and the corpus onto which this is prepared has ", base.diagnoses_known,
                     "; expected the same");
  }
  return Prepare(options, &base);
}

}  // namespace flame
