// eICU Collaborative Research Database v2.0 (https://eicu-crd.mit.edu): all tables in one folder.
//
// A visit is a hospitalisation; its unit stays are joined. The database tells the year of a
// hospitalisation and no date, so the order of a patient's hospitalisations within one year is not
// known: each begins with its year and ends with it, and none is another's previous visit.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/layouts.h"
#include "data/hospitals/named_drugs.h"
#include "data/hospitals/person_facts.h"
#include "data/tables/csv_table.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr char kPatient[] = "patient", kMedication[] = "medication", kDiagnosis[] = "diagnosis",
               kTreatment[] = "treatment", kAdmissionDx[] = "admissionDx", kAllergy[] = "allergy",
               kAdmissionDrug[] = "admissionDrug";

struct UnitStay {
  int64_t subject = 0, hadm = 0;
  bool operator==(const UnitStay&) const = default;
};
using UnitStays = std::unordered_map<int64_t, UnitStay>;  // by patientunitstayid

// Returns the number of a uniquepid such as 002-1039: 2000001039, so that ids stay apart and
// readable.
int64_t SubjectOf(const CsvRow& row, size_t column) {
  constexpr int64_t kPart = 1000000000, kMostFirst = 9000000000;
  const std::string_view text = Trimmed(row[column]);
  const size_t hyphen = text.find('-');
  int64_t first = 0, second = 0;
  const auto read = [](std::string_view part, int64_t* value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *value);
    return error == std::errc() && end == part.data() + part.size();
  };
  // The hospital has three digits: 002-7 and 2-7 would be the same number.
  if (hyphen == std::string_view::npos || hyphen < 3 || !read(text.substr(0, hyphen), &first) ||
      !read(text.substr(hyphen + 1), &second) || first < 0 || first > kMostFirst || second < 0 ||
      second >= kPart) {
    row.Fail(column, "an id such as 002-1039");
  }
  return first * kPart + second;
}

UnitStays ReadUnitStays(const fs::path& root) {
  UnitStays stays;
  const CsvTable table(root, kPatient,
                       {"patientunitstayid", "uniquepid", "patienthealthsystemstayid"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const UnitStay stay{SubjectOf(row, 1), row.Integer(2)};
    const auto [entry, added] = stays.try_emplace(row.Integer(0), stay);
    if (added || entry->second == stay) return;
    throw DataError(table.path(), ": ", row.Where(), ", gives the unit stay ", row[0],
                    " to another patient or hospitalisation than an earlier row");
  });
  return stays;
}

// Returns the hospitalisation of each unit stay that was its first, by patientunitstayid.
std::unordered_map<int64_t, int64_t> ReadFirstStays(const fs::path& root) {
  std::unordered_map<int64_t, int64_t> stays;
  CsvTable(root, kPatient, {"patientunitstayid", "patienthealthsystemstayid", "unitvisitnumber"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        if (row.Integer(2) == 1) stays[row.Integer(0)] = row.Integer(1);
      });
  return stays;
}

// Rows of a table of unit stays, as rows of hospitalisations.
class StayRows {
 public:
  explicit StayRows(const fs::path& root) : stays_(ReadUnitStays(root)) {}
  // Throws DataError if the row's unit stay is in no row of the table patient.
  const UnitStay& Of(const CsvRow& row, size_t column) const {
    const auto found = stays_.find(row.Integer(column));
    if (found == stays_.end()) row.Fail(column, "a patientunitstayid of the table patient");
    return found->second;
  }

 private:
  UnitStays stays_;
};

// The parts of a path such as "cardiovascular|shock / hypotension|sepsis", collapsed.
std::vector<std::string> PartsOf(std::string_view path) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = std::min(path.find('|'), path.size());
    parts.push_back(CollapseSpace(path.substr(0, end)));
    if (end == path.size()) return parts;
    path.remove_prefix(end + 1);
  }
}

// Returns the last two parts of a path, which say what a single one leaves open: "for tumor".
std::string TitleOf(const std::vector<std::string>& parts) {
  const size_t n = parts.size();
  return n < 2 ? parts.back() : parts[n - 2] + ": " + parts[n - 1];
}

// Codes such as "038.9, A41.9", of both versions. A code that begins with V, or with E8 or E9 and
// two more digits, is one of ICD-9.
std::vector<std::string> CodesIn(std::string_view text) {
  std::vector<std::string> icd9, icd10;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    std::string code = CanonicalId(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (code.empty()) continue;
    const size_t whole = std::min(code.find('.'), code.size());
    const bool letter = std::isalpha(static_cast<unsigned char>(code[0])) != 0;
    const bool external = code[0] == 'E' && whole >= 4 && (code[1] == '8' || code[1] == '9');
    const bool is9 = !letter || code[0] == 'V' || external;
    // A number has lost the zeros in front of its dot: 38.9 is 038.9.
    if (!letter && whole < code.size() && whole < 3) code.insert(0, 3 - whole, '0');
    std::erase(code, '.');
    (is9 ? icd9 : icd10).push_back(is9 ? code : StrCat(kIcd10, code));
  }
  return icd9.empty() ? icd10 : icd9;
}

// True if a treatment is a procedure. Others are drugs, whose names and classes are the answer, and
// orders.
bool IsProcedure(const std::vector<std::string>& parts, const DrugMap& drugs) {
  constexpr std::array<std::string_view, 10> kKinds = {
      "procedure", "surgery",     "radiolog", "endoscop", "dialysis",
      "catheter",  "ventilation", "culture",  "trauma",   "wounds"};
  constexpr std::array<std::string_view, 27> kDrugs = {
      "medication", "drug",    "agent",    "antibiotic", "prophylaxis", "vaccin",   "antipyretic",
      "analges",    "sedat",   "lytic",    "coagula",    "antimicrob",  "antibact", "antifung",
      "antivir",    "pressor", "inotrop",  "insulin",    "steroid",     "dilator",  "diuretic",
      "topical",    "chemo",   "narcotic", "anesthe",    "block",       "inhibitor"};
  const auto has = [](std::string part, const auto& words) {
    std::transform(part.begin(), part.end(), part.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    // A stent, not a drug.
    if (const size_t at = part.find("drug-eluting"); at != std::string::npos) part.erase(at, 12);
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return part.find(word) != std::string::npos; });
  };
  if (parts.size() < 2 || !has(parts[1], kKinds)) return false;
  return std::none_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return has(part, kDrugs) || drugs.Find(CanonicalId(part)) != nullptr;
  });
}

// The patient of a hospitalisation, as the rows of its unit stays have it.
struct Person {
  char gender = 'U';
  int32_t age = -1;  // not told

  // Throws DataError if the row contradicts an earlier one. A birthday may lie between unit stays.
  void Add(const CsvRow& row, char row_gender, size_t age_column) {
    if (row_gender != 'U' && gender != 'U' && row_gender != gender) {
      row.Fail(age_column - 1, "the gender of an earlier row of this hospitalisation");
    }
    if (row_gender != 'U') gender = row_gender;
    const std::string_view text = Trimmed(row[age_column]);
    if (text.empty()) return;
    const int32_t told = text == "> 89" || text == ">89" ? kAgeCap : AgeOf(row, age_column);
    if (age >= 0 && std::abs(age - told) > 1) {
      row.Fail(age_column, "the age of an earlier row of this hospitalisation");
    }
    if (age < 0) age = told;
  }
};

Moment BeginOf(int64_t year) {
  return std::chrono::sys_days(std::chrono::year(static_cast<int>(year)) / 1 / 1);
}

class Eicu : public Hospital {
 public:
  explicit Eicu(const DataOptions& options)
      : root_(options.root), mappings_(MappingsFolder(options)), synonyms_(SynonymsFile(options)) {}

  Admissions ReadAdmissions() const override {
    Admissions admissions;
    const CsvTable table(root_, kPatient,
                         {"uniquepid", "patienthealthsystemstayid", "hospitaldischargeyear"});
    table.ForEachRowOfFilled([&](const CsvRow& row) {
      const int64_t year = row.Integer(2);
      if (year < 1900 || year > 2200) row.Fail(2, "a year");
      const Admission read{SubjectOf(row, 0), BeginOf(year), BeginOf(year + 1)};
      const auto [entry, added] = admissions.try_emplace(row.Integer(1), read);
      if (added ||
          (entry->second.subject == read.subject && entry->second.admitted == read.admitted)) {
        return;
      }
      throw DataError(table.path(), ": ", row.Where(), ", gives the hospitalisation ", row[1],
                      " another patient or year than an earlier row");
    });
    return admissions;
  }

  std::string admissions_file() const override { return CsvTable::Find(root_, kPatient).string(); }

  CodeTable ReadPrescriptions(const Admissions&, FunnelLog* funnel) const override {
    const StayRows stays(root_);
    const CsvTable table(root_, kMedication,
                         {"patientunitstayid", "drugname", "drugordercancelled"});
    CodeTable prescriptions;
    enum Rule { kCancelled, kBlank };
    RowRules rules(kDrugRows, kMedication, {"order cancelled", "drugname blank"});
    const int64_t rows = table.ForEachRowOfFilled([&](const CsvRow& row) {
      const std::string name = CanonicalId(CollapseSpace(row[1]));
      if (rules.Drops(kCancelled, CanonicalId(row[2]) == "YES") ||
          rules.Drops(kBlank, name.empty())) {
        return;
      }
      const UnitStay& stay = stays.Of(row, 0);
      prescriptions.rows.push_back({stay.subject, stay.hadm, prescriptions.codes.IdOf(name),
                                    prescriptions.names.IdOf(name)});
    });
    rules.Finish(rows, funnel);
    DropDuplicates(&prescriptions.rows);
    funnel->Add(kDrugRows, "orders that name a drug", prescriptions.rows);
    return prescriptions;
  }

  std::unique_ptr<DrugMap> Drugs() const override {
    return std::make_unique<NamedDrugs>(mappings_, synonyms_);
  }

  CodeTable ReadCodes(CodeKind kind, const Admissions&, FunnelLog* funnel) const override {
    CodeTable codes = kind == CodeKind::kDiagnosis ? ReadDiagnoses(funnel) : ReadTreatments(funnel);
    DropDuplicates(&codes.rows);
    return codes;
  }

  // Rows of admissionDx below "All Diagnosis"; others tell organs and whether there was surgery.
  CodeTable ReadAdmissionDiagnoses() const override {
    const StayRows stays(root_);
    CodeTable table;
    CsvTable(root_, kAdmissionDx, {"patientunitstayid", "admitdxpath", "admitdxname"})
        .ForEachRowOfFilled([&](const CsvRow& row) {
          const std::string name = CanonicalId(CollapseSpace(row[2]));
          if (IsMissing(name) || row[1].find("|All Diagnosis|") == std::string_view::npos) return;
          const UnitStay& stay = stays.Of(row, 0);
          table.rows.push_back({stay.subject, stay.hadm, table.codes.IdOf(name), 0});
        });
    DropDuplicates(&table.rows);
    return table;
  }

  void Describe(const Admissions& admissions, std::vector<Visit>* visits) const override {
    std::unordered_map<int64_t, Person> persons;
    const CsvTable table(root_, kPatient, {"patienthealthsystemstayid", "gender", "age"});
    GenderReader gender;
    table.ForEachRowOfFilled([&](const CsvRow& row) {
      persons[row.Integer(0)].Add(row, gender.Read(row, 1), /*age_column=*/2);
    });
    gender.Warn(table);
    int64_t without_age = 0;
    for (Visit& visit : *visits) {
      const Person& person = persons.at(visit.hadm);
      without_age += person.age < 0 ? 1 : 0;
      visit.gender = person.gender;
      visit.age = std::max(person.age, 0);
      visit.year = YearOf(*admissions.at(visit.hadm).admitted);
    }
    if (without_age > 0) {
      LogWarning("prepare: ", table.path(), ": ", without_age,
                 " visits have no age; it counts as 0");
    }
  }

  // The database has no discharge summaries. Its tables of allergies and of drugs before admission
  // tell what these sections do.
  Notes ReadNotes(const Admissions&) const override {
    Notes notes;
    notes.expected = "rows of allergy or admissionDrug, of a stay whose unitvisitnumber is 1";
    notes.place = "patient, allergy and admissionDrug";
    notes.missing = "no such row";
    AddSection(kAllergy, {"drugname", "allergyname"}, kAllergiesSection, &notes);
    AddSection(kAdmissionDrug, {"drugname"}, kMedicationsSection, &notes);
    return notes;
  }

  OwnTitles ReadTitles(CodeKind kind) const override {
    OwnTitles titles;
    if (kind == CodeKind::kProcedure) {
      CsvTable(root_, kTreatment, {"treatmentstring"}).ForEachRow([&](const CsvRow& row) {
        titles.first.try_emplace(CollapseSpace(row[0]), TitleOf(PartsOf(row[0])));
      });
      return titles;
    }
    CsvTable(root_, kDiagnosis, {"icd9code", "diagnosisstring"}).ForEachRow([&](const CsvRow& row) {
      for (const std::string& code : CodesIn(row[0])) {
        titles.fallback.try_emplace(code, TitleOf(PartsOf(row[1])));
      }
    });
    return titles;
  }

 private:
  // Appends a section to the notes: what the first of `columns` with a value says in the rows of a
  // hospitalisation's first unit stay, each once. At a later one, drugs "before admission" were
  // given in this hospitalisation.
  void AddSection(const char* stem, std::vector<std::string> columns, std::string_view title,
                  Notes* notes) const {
    if (!CsvTable::Exists(root_, stem)) return;
    const std::unordered_map<int64_t, int64_t> first_stays = ReadFirstStays(root_);
    const NamedDrugs drugs(mappings_, synonyms_);
    columns.push_back("patientunitstayid");
    const size_t stay = columns.size() - 1;
    std::map<int64_t, std::vector<std::string>> found;
    notes->rows += CsvTable(root_, stem, columns).ForEachRow([&](const CsvRow& row) {
      const auto hadm = first_stays.find(row.Integer(stay));
      if (hadm == first_stays.end()) return;
      std::string text = CollapseSpace(row[0]);
      if (text.empty()) text = CollapseSpace(row[stay - 1]);
      if (text.empty()) return;
      std::vector<std::string>& texts = found[hadm->second];
      const std::string name = drugs.NameOf(text);
      if (std::find(texts.begin(), texts.end(), name) == texts.end()) texts.push_back(name);
    });
    for (const auto& [hadm, texts] : found) {
      std::string& note = notes->of[hadm];
      note += StrCat(note.empty() ? "" : "\n", title, ": ");
      for (size_t i = 0; i < texts.size(); ++i) note += (i == 0 ? "" : ", ") + texts[i];
    }
  }

  CodeTable ReadDiagnoses(FunnelLog* funnel) const {
    const StayRows stays(root_);
    CodeTable table;
    RowRules rules(kDiagnosisRows, kDiagnosis, {"no ICD code"});
    const int64_t rows =
        CsvTable(root_, kDiagnosis, {"patientunitstayid", "icd9code"})
            .ForEachRowOfFilled([&](const CsvRow& row) {
              const std::vector<std::string> codes = CodesIn(row[1]);
              if (rules.Drops(0, codes.empty())) return;
              const UnitStay& stay = stays.Of(row, 0);
              for (const std::string& code : codes) {
                table.rows.push_back({stay.subject, stay.hadm, table.codes.IdOf(code), 0});
              }
            });
    rules.Finish(rows, funnel);
    return table;
  }

  CodeTable ReadTreatments(FunnelLog* funnel) const {
    const StayRows stays(root_);
    const std::unique_ptr<DrugMap> drugs = Drugs();
    CodeTable table;
    RowRules rules(kProcedureRows, kTreatment,
                   {"no procedure, but a drug, fluid, consultation or order"});
    const int64_t rows = CsvTable(root_, kTreatment, {"patientunitstayid", "treatmentstring"})
                             .ForEachRowOfFilled([&](const CsvRow& row) {
                               if (rules.Drops(0, !IsProcedure(PartsOf(row[1]), *drugs))) return;
                               const UnitStay& stay = stays.Of(row, 0);
                               const int32_t code = table.codes.IdOf(CollapseSpace(row[1]));
                               table.rows.push_back({stay.subject, stay.hadm, code, 0});
                             });
    rules.Finish(rows, funnel);
    return table;
  }

  fs::path root_, mappings_, synonyms_;
};

std::unique_ptr<Hospital> Open(const DataOptions& options) {
  if (options.visit_order == "id") {
    throw UsageError("data.visit_order is id, but the ids of eicu tell no order; expected time");
  }
  RefuseIcd10Crosswalk(options);
  return std::make_unique<Eicu>(options);
}

}  // namespace

Layout EicuLayout() {
  return {"eicu",
          {{"", kPatient},
           {"", kMedication},
           {"", kDiagnosis},
           {"", kTreatment},
           {"", kAdmissionDx},
           {"", kAllergy},
           {"", kAdmissionDrug},
           {"", "ORACLE"}},
          {"drugbank_to_name", "drugbank_to_smiles", "icd9_diagnoses", "icd9_procedures"},
          Open,
          /*names_drugs=*/true};
}

}  // namespace flame
