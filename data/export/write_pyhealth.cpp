#include "data/export/write_pyhealth.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/hospitals/split.h"
#include "data/tables/codes.h"
#include "data/tables/csv_table.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kBirthYear = 2000;
constexpr int32_t kMostDrugs = 10000;

class Table {
 public:
  explicit Table(std::string header) : text_(std::move(header) + "\n") {}
  void Row(std::initializer_list<std::string> cells) {
    std::string_view separator;
    for (const std::string& cell : cells) {
      text_ += separator;
      AppendCell(cell);
      separator = ",";
    }
    text_ += "\n";
  }
  void Write(const fs::path& path) const { WriteFileAtomically(path, text_); }

 private:
  void AppendCell(const std::string& cell) {
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      text_ += cell;
      return;
    }
    text_ += '"';
    for (const char c : cell) text_.append(c == '"' ? 2 : 1, c);
    text_ += '"';
  }

  std::string text_;
};

std::string Digits(int64_t number, int width) {
  char text[32];
  std::snprintf(text, sizeof(text), "%0*lld", width, static_cast<long long>(number));
  return text;
}

std::string VisitId(size_t visit) { return Digits(static_cast<int64_t>(visit) + 1, 8); }
std::string NdcOf(int32_t drug) { return Digits(drug + 1, 11); }
std::string Level3Of(int32_t drug) { return Digits(drug, 4); }
std::string AtcOf(int32_t drug) { return Level3Of(drug) + "A01"; }

// Returns New Year's Day of a year, `hours` later.
std::string TimeOf(int32_t year, int32_t hours) {
  using std::chrono::January;
  const std::chrono::sys_days day = std::chrono::year(year) / January / 1;
  const auto moment = day + std::chrono::hours(hours);
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(moment));
  char text[64];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02u %02d:00:00", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), hours % 24);
  return text;
}

void WriteVisits(const Corpus& corpus, const fs::path& folder) {
  Table patients("SUBJECT_ID,GENDER,DOB,DOD,DOD_HOSP,DOD_SSN,EXPIRE_FLAG");
  Table admissions(
      "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,INSURANCE,LANGUAGE,RELIGION,MARITAL_STATUS,"
      "ETHNICITY,HOSPITAL_EXPIRE_FLAG");
  Table names("HADM_ID,hadm,subject,split");
  int32_t year = 0, hours = 0;
  for (size_t i = 0; i < corpus.visits.size(); ++i) {
    const Visit& visit = corpus.visits[i];
    const std::string subject = std::to_string(visit.subject);
    const bool is_first = i == 0 || corpus.visits[i - 1].patient != visit.patient;
    if (is_first) {
      year = hours = 0;
      patients.Row({subject, std::string(1, visit.gender), TimeOf(kBirthYear, 0), "", "", "", "0"});
    }
    year = std::max(year, kBirthYear + visit.age);
    admissions.Row({subject, VisitId(i), TimeOf(year, hours), TimeOf(year, hours + 1), "UNKNOWN",
                    "UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN", "0"});
    names.Row({VisitId(i), std::to_string(visit.hadm), subject, NameOf(visit.split)});
    hours += 2;
  }
  patients.Write(folder / "PATIENTS.csv");
  admissions.Write(folder / "ADMISSIONS.csv");
  names.Write(folder / "visits.csv");
}

void WriteCodes(const Corpus& corpus, const Vocabulary& vocabulary,
                std::vector<int32_t> Visit::*list, const fs::path& path) {
  Table table("SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE");
  for (size_t i = 0; i < corpus.visits.size(); ++i) {
    const Visit& visit = corpus.visits[i];
    int64_t place = 0;
    for (const int32_t code : visit.*list) {
      table.Row({std::to_string(visit.subject), VisitId(i), std::to_string(++place),
                 vocabulary.codes[code]});
    }
  }
  table.Write(path);
}

void WritePrescriptions(const Corpus& corpus, const fs::path& path) {
  Table table("SUBJECT_ID,HADM_ID,STARTDATE,ENDDATE,DRUG_TYPE,DRUG,NDC");
  const std::string day = TimeOf(kBirthYear, 0);
  for (size_t i = 0; i < corpus.visits.size(); ++i) {
    const Visit& visit = corpus.visits[i];
    for (const int32_t drug : visit.drugs) {
      table.Row({std::to_string(visit.subject), VisitId(i), day, day, "MAIN",
                 corpus.drugs.titles[drug], NdcOf(drug)});
    }
  }
  table.Write(path);
}

std::unordered_map<std::string, std::string> StructuresOf(const fs::path& mappings) {
  std::unordered_map<std::string, std::string> structures;
  if (mappings.empty()) return structures;
  CsvTable(mappings, "drugbank_to_smiles", {"drug_id", "smiles"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        if (!IsMissing(row[1])) structures.emplace(CanonicalId(row[0]), row[1]);
      });
  return structures;
}

void WriteCodeMaps(const Corpus& corpus, const fs::path& mappings, const fs::path& folder) {
  const auto structures = StructuresOf(mappings);
  Table ndc("code,name"), atc("code,parent_code,name,level,smiles,drugbank_id"), map("NDC,ATC");
  for (int32_t drug = 0; drug < corpus.drugs.size(); ++drug) {
    const std::string &code = corpus.drugs.codes[drug], &name = corpus.drugs.titles[drug];
    const auto structure = structures.find(code);
    ndc.Row({NdcOf(drug), name});
    atc.Row({Level3Of(drug), "", name, "3", "", ""});
    atc.Row({AtcOf(drug), Level3Of(drug), name, "5",
             structure == structures.end() ? "" : structure->second, code});
    map.Row({NdcOf(drug), AtcOf(drug)});
  }
  Table pairs("ATC i,ATC j");
  for (int32_t a = 0; a < corpus.drugs.size(); ++a) {
    for (int32_t b = a + 1; b < corpus.drugs.size(); ++b) {
      if (corpus.ddi.Harmful(a, b)) pairs.Row({AtcOf(a), AtcOf(b)});
    }
  }
  ndc.Write(folder / "NDC.csv");
  atc.Write(folder / "ATC.csv");
  map.Write(folder / "NDC_to_ATC.csv");
  for (const char* name : {"DDI.csv", "DDI_GAMENet.csv"}) pairs.Write(folder / name);
}

}  // namespace

void WritePyHealth(const Corpus& corpus, const fs::path& mappings, const fs::path& folder) {
  if (corpus.drugs.size() > kMostDrugs) {
    throw DataError("the corpus has ", corpus.drugs.size(),
                    " drugs; PyHealth's codes have room for ", kMostDrugs);
  }
  WriteVisits(corpus, folder);
  WriteCodes(corpus, corpus.diagnoses, &Visit::diagnoses, folder / "DIAGNOSES_ICD.csv");
  WriteCodes(corpus, corpus.procedures, &Visit::procedures, folder / "PROCEDURES_ICD.csv");
  WritePrescriptions(corpus, folder / "PRESCRIPTIONS.csv");
  WriteCodeMaps(corpus, mappings, folder / ".cache" / "pyhealth" / "medcode");
}

}  // namespace flame
