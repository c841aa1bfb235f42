#include "data/hospitals/records.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "data/hospitals/known_diagnoses.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/split.h"
#include "data/strict_json.h"
#include "data/tables/distinct_names.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kSchema[] = "flame.records/1";

using CodeIndex = std::unordered_map<std::string, int32_t>;

void CheckMembers(const json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : object.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    std::string names;
    for (const std::string_view each : known) names += StrCat(names.empty() ? "" : ", ", each);
    throw DataError("'", name, "' is not known; expected ", names);
  }
}

const json& ListMember(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member != object.end() && member->is_array()) return *member;
  throw DataError("'", name, "' is ", member == object.end() ? "missing" : ShownJson(*member),
                  "; expected a list");
}

int64_t Integer(const json& value, const char* name) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > kMost)) {
    throw DataError("'", name, "' is ", ShownJson(value), "; expected a whole number");
  }
  return value.get<int64_t>();
}

int64_t IntegerMember(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) throw DataError("'", name, "' is missing; expected a whole number");
  return Integer(*member, name);
}

// Returns the text of a member; "" if it is missing.
std::string TextMember(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end()) return "";
  if (member->is_string()) return member->get<std::string>();
  throw DataError("'", name, "' is ", ShownJson(*member), "; expected text");
}

// Reads one vocabulary of the first line. A title that is missing is left empty.
Vocabulary ReadVocabulary(const json& header, const char* list, const char* title,
                          CodeIndex* index) {
  Vocabulary vocabulary;
  for (const json& entry : ListMember(header, list)) {
    if (!entry.is_object()) {
      throw DataError("'", list, "' has ", ShownJson(entry), "; expected objects with a code");
    }
    CheckMembers(entry, {"code", title});
    const std::string code = TextMember(entry, "code");
    if (code.empty() || CollapseSpace(code) != code) {
      throw DataError("'", list, "' has ", ShownJson(entry),
                      "; expected a code without blanks around it");
    }
    if (!index->emplace(code, vocabulary.size()).second) {
      throw DataError("'", list, "' has the code '", code, "' twice");
    }
    vocabulary.codes.push_back(code);
    vocabulary.titles.push_back(CollapseSpace(TextMember(entry, title)));
  }
  return vocabulary;
}

DdiGraph ReadPairs(const json& header, int32_t num_drugs) {
  DdiGraph graph(num_drugs);
  for (const json& pair : ListMember(header, "ddi")) {
    const bool is_pair = pair.is_array() && pair.size() == 2;
    const int64_t a = is_pair ? Integer(pair[0], "ddi") : -1;
    const int64_t b = is_pair ? Integer(pair[1], "ddi") : -1;
    if (a < 0 || b <= a || b >= num_drugs) {
      throw DataError("'ddi' has ", ShownJson(pair),
                      "; expected two indices of drugs, the lower first");
    }
    const int32_t first = static_cast<int32_t>(a), second = static_cast<int32_t>(b);
    if (graph.Harmful(first, second)) throw DataError("'ddi' has ", ShownJson(pair), " twice");
    graph.Add(first, second);
  }
  return graph;
}

std::vector<int32_t> ReadCodes(const json& line, const char* list, const CodeIndex& index) {
  std::vector<int32_t> ids;
  for (const json& code : ListMember(line, list)) {
    const auto found = code.is_string() ? index.find(code.get<std::string>()) : index.end();
    if (found == index.end()) {
      throw DataError("'", list, "' has ", ShownJson(code), "; expected a code of the first line");
    }
    if (std::find(ids.begin(), ids.end(), found->second) != ids.end()) {
      throw DataError("'", list, "' has ", ShownJson(code), " twice");
    }
    ids.push_back(found->second);
  }
  return ids;
}

int32_t ReadAge(const json& line) {
  if (!line.contains("age")) return 0;
  const int64_t age = Integer(line["age"], "age");
  if (age < 0 || age > kAgeCap) throw DataError("'age' is ", age, "; expected 0..", kAgeCap);
  return static_cast<int32_t>(age);
}

char ReadGender(const json& line) {
  const std::string gender = line.contains("gender") ? TextMember(line, "gender") : "U";
  if (gender != "F" && gender != "M" && gender != "U") {
    throw DataError("'gender' is ", ShownJson(line["gender"]), "; expected F, M or U");
  }
  return gender[0];
}

// Takes the lines of one file, in order.
class RecordLines {
 public:
  // Takes a line that is not blank; the first is the header.
  void Take(const std::string& text) {
    const json line = ParseJsonObject(text);
    has_header_ ? TakeVisit(line) : TakeHeader(line);
    has_header_ = true;
  }
  // Returns the corpus of all lines, as far as the lines have it.
  Corpus Finish() { return std::move(corpus_); }
  bool has_splits() const { return has_splits_; }

 private:
  void TakeHeader(const json& line) {
    if (TextMember(line, "schema") != kSchema) {
      throw DataError("'schema' is '", TextMember(line, "schema"), "'; expected ", kSchema);
    }
    CheckMembers(line, {"schema", "diagnoses", "procedures", "drugs", "ddi"});
    corpus_.diagnoses = ReadVocabulary(line, "diagnoses", "title", &diagnoses_);
    corpus_.procedures = ReadVocabulary(line, "procedures", "title", &procedures_);
    corpus_.drugs = ReadVocabulary(line, "drugs", "name", &drugs_);
    corpus_.ddi = ReadPairs(line, corpus_.drugs.size());
  }

  void TakeVisit(const json& line) {
    CheckMembers(line, {"subject", "hadm", "diagnoses", "procedures", "drugs", "age", "gender",
                        "note", "split", "previous"});
    Visit visit;
    visit.subject = IntegerMember(line, "subject");
    visit.hadm = IntegerMember(line, "hadm");
    visit.age = ReadAge(line);
    visit.gender = ReadGender(line);
    visit.note = TextMember(line, "note");
    visit.diagnoses = ReadCodes(line, "diagnoses", diagnoses_);
    visit.procedures = ReadCodes(line, "procedures", procedures_);
    visit.drugs = ReadCodes(line, "drugs", drugs_);
    TakeSplit(line, &visit);
    TakePatient(&visit);
    if (line.contains("previous")) visit.previous = PreviousOf(line["previous"], visit);
    const auto number = static_cast<int32_t>(corpus_.visits.size());
    if (!visits_.emplace(visit.hadm, number).second) {
      throw DataError("hadm ", visit.hadm, " is there for the second time");
    }
    corpus_.visits.push_back(std::move(visit));
  }

  void TakeSplit(const json& line, Visit* visit) {
    const bool has_split = line.contains("split");
    if (corpus_.visits.empty()) has_splits_ = has_split;
    if (has_split != has_splits_) {
      throw DataError("'split' is ", has_split ? "here and missing" : "missing here and given",
                      " in the lines before; expected it in all visits or in none");
    }
    if (!has_split) return;
    const std::optional<Split> split = SplitNamed(TextMember(line, "split"));
    if (!split) {
      throw DataError("'split' is ", ShownJson(line["split"]),
                      "; expected train, validation or test");
    }
    visit->split = *split;
  }

  // Numbers the patient and links the visit to the one before it.
  void TakePatient(Visit* visit) {
    const bool again = !corpus_.visits.empty() && corpus_.visits.back().subject == visit->subject;
    if (again) {
      visit->previous = static_cast<int32_t>(corpus_.visits.size()) - 1;
    } else if (!subjects_.insert(visit->subject).second) {
      throw DataError("subject ", visit->subject, " has visits further above; expected the visits ",
                      "of a patient one after another");
    } else {
      ++corpus_.num_patients;
    }
    visit->patient = corpus_.num_patients - 1;
  }

  int32_t PreviousOf(const json& value, const Visit& visit) const {
    if (value.is_null()) return -1;
    const auto found = visits_.find(Integer(value, "previous"));
    if (found == visits_.end() || corpus_.visits[found->second].subject != visit.subject) {
      throw DataError("'previous' is ", ShownJson(value), "; expected null or an earlier visit of ",
                      "subject ", visit.subject);
    }
    return found->second;
  }

  Corpus corpus_;
  bool has_header_ = false, has_splits_ = false;
  CodeIndex diagnoses_, procedures_, drugs_;
  std::unordered_map<int64_t, int32_t> visits_;  // by hadm
  std::unordered_set<int64_t> subjects_;
};

// Fills the empty titles with what `look_up` returns for their codes.
template <class LookUp>
void FillTitles(Vocabulary* vocabulary, const LookUp& look_up) {
  std::vector<std::string> codes;
  for (int32_t i = 0; i < vocabulary->size(); ++i) {
    if (vocabulary->titles[i].empty()) codes.push_back(vocabulary->codes[i]);
  }
  if (codes.empty()) return;
  const std::vector<std::string> titles = look_up(codes);
  size_t next = 0;
  for (std::string& title : vocabulary->titles) {
    if (title.empty()) title = titles[next++];
  }
}

void FillAllTitles(const fs::path& mappings, Corpus* corpus) {
  using Codes = std::vector<std::string>;
  const auto of_codes = [&](CodeKind kind) {
    return [&mappings, corpus, kind](const Codes& codes) {
      if (mappings.empty()) return codes;
      return CodeTitles(mappings, OwnTitles(), kind, codes, &corpus->coverage.emplace_back());
    };
  };
  FillTitles(&corpus->diagnoses, of_codes(CodeKind::kDiagnosis));
  FillTitles(&corpus->procedures, of_codes(CodeKind::kProcedure));
  FillTitles(&corpus->drugs, [&](const Codes& codes) {
    if (mappings.empty()) return codes;
    return DrugNames(mappings, codes, &corpus->coverage.emplace_back());
  });
  MakeDistinct(corpus->drugs.codes, &corpus->drugs.titles);
}

void CheckKeys(const DataOptions& options) {
  const auto refuse = [](const char* key, const std::string& value, const char* expected) {
    throw UsageError(key, " is ", value, ", which data.hospital records does not read; expected ",
                     expected);
  };
  if (options.diagnoses == "admission") {
    refuse("data.diagnoses", options.diagnoses, "discharge or previous");
  }
  if (options.visit_order != "time") refuse("data.visit_order", options.visit_order, "time");
  if (options.icd10 != "keep") refuse("data.icd10", options.icd10, "keep");
}

// Notes of a file are shown as they are.
void WarnOfNotes(const Corpus& corpus, const fs::path& file) {
  int64_t notes = 0;
  int64_t first = 0;
  for (const Visit& visit : corpus.visits) {
    if (FindTextOfDischarge(visit.note) == std::string::npos) continue;
    if (++notes == 1) first = visit.hadm;
  }
  if (notes == 0) return;
  LogWarning("prepare: ", file.string(), ": ", notes, " notes, such as that of hadm ", first,
             ", have text that was written at discharge, which may tell the answer; `flame inspect "
             "--leaks` shows it");
}

}  // namespace

Corpus ReadRecords(const DataOptions& options) {
  CheckKeys(options);
  RecordLines records;
  std::istringstream lines(ReadWholeFile(options.root));
  int64_t number = 0;
  for (std::string text; std::getline(lines, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      records.Take(text);
    } catch (const DataError& error) {
      throw DataError(options.root.string(), ": line ", number, ": ", error.what());
    }
  }
  Corpus corpus = records.Finish();
  if (corpus.visits.empty()) {
    throw DataError(options.root.string(), ": holds no visit; expected a line of vocabularies and ",
                    "a line a visit");
  }
  corpus.hospital = options.hospital;
  if (options.diagnoses == "previous") UseEarlierDiagnoses(&corpus.visits);
  corpus.diagnoses_known = options.diagnoses;
  WarnOfNotes(corpus, options.root);
  FillAllTitles(options.mappings, &corpus);
  if (!records.has_splits()) SplitVisits(options.split_by, options.split, &corpus.visits);
  LogInfo("prepare: ", corpus.visits.size(), " visits of ", corpus.num_patients, " patients, ",
          corpus.drugs.size(), " drugs, ", corpus.diagnoses.size(), " diagnoses, ",
          corpus.procedures.size(), " procedures; split as ",
          records.has_splits() ? "the file has it" : "data.split has it");
  return corpus;
}

}  // namespace flame
