#include "data/corpus.h"

#include <algorithm>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "data/ragged.h"

namespace flame {
namespace {

constexpr char kSchema[] = "flame.corpus/3";

// Returns one field of every visit as a column.
template <class T, class Get>
std::vector<T> Column(const std::vector<Visit>& visits, Get get) {
  std::vector<T> column;
  column.reserve(visits.size());
  for (const Visit& visit : visits) column.push_back(static_cast<T>(get(visit)));
  return column;
}

template <class Lists>
std::vector<std::vector<int32_t>> ListColumn(const std::vector<Visit>& visits, Lists lists) {
  std::vector<std::vector<int32_t>> column;
  column.reserve(visits.size());
  for (const Visit& visit : visits) column.push_back(visit.*lists);
  return column;
}

void WriteVocabulary(Hdf5File* file, const std::string& name, const Vocabulary& vocabulary) {
  file->Write(name + "/codes", vocabulary.codes);
  file->Write(name + "/titles", vocabulary.titles);
  file->SetAttribute(name + "_first_unknown", int64_t{vocabulary.first_unknown});
}

Vocabulary ReadVocabulary(const Hdf5File& file, const std::string& name, const std::string& where) {
  Vocabulary vocabulary;
  vocabulary.codes = file.Read<std::string>(name + "/codes");
  vocabulary.titles =
      ReadSized<std::string>(file, name + "/titles", vocabulary.codes.size(), where);
  vocabulary.first_unknown = static_cast<int32_t>(file.IntAttribute(name + "_first_unknown"));
  if (vocabulary.first_unknown < -1 || vocabulary.first_unknown > vocabulary.size()) {
    throw DataError(where, ": ", name, "_first_unknown is ", vocabulary.first_unknown,
                    "; expected -1..", vocabulary.size());
  }
  const auto empty = std::find(vocabulary.titles.begin(), vocabulary.titles.end(), "");
  if (empty != vocabulary.titles.end()) {
    throw DataError(where, ": ", name, "/titles[", empty - vocabulary.titles.begin(),
                    "] is empty; expected a title of every code");
  }
  return vocabulary;
}

void WriteDdi(Hdf5File* file, const DdiGraph& ddi) {
  const int32_t n = ddi.num_drugs();
  std::vector<int8_t> matrix(size_t(n) * n);
  for (int32_t a = 0; a < n; ++a) {
    for (int32_t b = 0; b < n; ++b) matrix[size_t(a) * n + b] = ddi.Harmful(a, b);
  }
  file->WriteMatrix("ddi", matrix, n, n);
}

DdiGraph ReadDdi(const Hdf5File& file, int32_t n, const std::string& where) {
  if (file.Shape("ddi") != std::vector<int64_t>{n, n}) {
    throw DataError(where, ": ddi is not a matrix of ", n, " x ", n, " drugs");
  }
  const std::vector<int8_t> matrix = file.Read<int8_t>("ddi");
  DdiGraph graph(n);
  for (int32_t a = 0; a < n; ++a) {
    for (int32_t b = 0; b < n; ++b) {
      const int8_t value = matrix[size_t(a) * n + b];
      if (value != matrix[size_t(b) * n + a] || (value != 0 && value != 1) || (a == b && value)) {
        throw DataError(where, ": ddi[", a, ",", b, "] is ", int{value},
                        "; expected a symmetric matrix of 0 and 1 with a zero diagonal");
      }
      if (value) graph.Add(a, b);
    }
  }
  return graph;
}

void WriteCoverage(Hdf5File* file, const std::vector<Coverage>& coverage) {
  std::vector<std::string> of, misses;
  std::vector<int64_t> total, matched, repaired;
  for (const Coverage& each : coverage) {
    of.push_back(each.of);
    misses.push_back(each.misses);
    total.push_back(each.total);
    matched.push_back(each.matched);
    repaired.push_back(each.repaired);
  }
  file->Write("coverage/of", of);
  file->Write("coverage/total", total);
  file->Write("coverage/matched", matched);
  file->Write("coverage/repaired", repaired);
  file->Write("coverage/misses", misses);
}

std::vector<Coverage> ReadCoverage(const Hdf5File& file, const std::string& where) {
  const auto of = file.Read<std::string>("coverage/of");
  const auto total = ReadSized<int64_t>(file, "coverage/total", of.size(), where);
  const auto matched = ReadSized<int64_t>(file, "coverage/matched", of.size(), where);
  const auto repaired = ReadSized<int64_t>(file, "coverage/repaired", of.size(), where);
  const auto misses = ReadSized<std::string>(file, "coverage/misses", of.size(), where);
  std::vector<Coverage> coverage;
  for (size_t i = 0; i < of.size(); ++i) {
    coverage.push_back({of[i], total[i], matched[i], repaired[i], misses[i]});
  }
  return coverage;
}

void WriteFunnel(Hdf5File* file, const std::vector<FunnelStep>& funnel) {
  std::vector<std::string> table, rule, detail;
  std::vector<int64_t> rows, visits, patients;
  for (const FunnelStep& step : funnel) {
    table.push_back(step.table);
    rule.push_back(step.rule);
    rows.push_back(step.rows);
    visits.push_back(step.visits);
    patients.push_back(step.patients);
    detail.push_back(step.detail);
  }
  file->Write("funnel/table", table);
  file->Write("funnel/rule", rule);
  file->Write("funnel/rows", rows);
  file->Write("funnel/visits", visits);
  file->Write("funnel/patients", patients);
  file->Write("funnel/detail", detail);
}

std::vector<FunnelStep> ReadFunnel(const Hdf5File& file, const std::string& where) {
  const auto table = file.Read<std::string>("funnel/table");
  const size_t n = table.size();
  const auto rule = ReadSized<std::string>(file, "funnel/rule", n, where);
  const auto rows = ReadSized<int64_t>(file, "funnel/rows", n, where);
  const auto visits = ReadSized<int64_t>(file, "funnel/visits", n, where);
  const auto patients = ReadSized<int64_t>(file, "funnel/patients", n, where);
  const auto detail = ReadSized<std::string>(file, "funnel/detail", n, where);
  std::vector<FunnelStep> funnel;
  for (size_t i = 0; i < n; ++i) {
    funnel.push_back({table[i], rule[i], rows[i], visits[i], patients[i], detail[i]});
  }
  return funnel;
}

void CheckVisit(const Corpus& corpus, int32_t i, const std::string& where) {
  const Visit& visit = corpus.visits[i];
  const auto fail = [&](const char* field, int64_t value, const std::string& expected) {
    throw DataError(where, ": visits/", field, "[", i, "] is ", value, "; expected ", expected);
  };
  if (visit.patient < 0 || visit.patient >= corpus.num_patients) {
    fail("patient", visit.patient, StrCat("0..", corpus.num_patients - 1));
  }
  if (visit.previous < -1 || visit.previous >= i ||
      (visit.previous >= 0 && corpus.visits[visit.previous].patient != visit.patient)) {
    fail("previous", visit.previous, "-1 or an earlier visit of the same patient");
  }
  if (visit.age < 0 || visit.age > 90) fail("age", visit.age, "0..90");
  if (visit.gender != 'F' && visit.gender != 'M' && visit.gender != 'U') {
    fail("gender", visit.gender, "the code of F, M or U");
  }
  if (visit.split < Split::kTrain || visit.split > Split::kTest) {
    fail("split", static_cast<int>(visit.split), "0, 1 or 2");
  }
}

void ReadVisits(const Hdf5File& file, Corpus* corpus, const std::string& where) {
  const auto subject = file.Read<int64_t>("visits/subject");
  const size_t n = subject.size();
  const auto hadm = ReadSized<int64_t>(file, "visits/hadm", n, where);
  const auto patient = ReadSized<int32_t>(file, "visits/patient", n, where);
  const auto previous = ReadSized<int32_t>(file, "visits/previous", n, where);
  const auto age = ReadSized<int32_t>(file, "visits/age", n, where);
  const auto year = ReadSized<int32_t>(file, "visits/year", n, where);
  const auto admitted = ReadSized<int64_t>(file, "visits/admitted", n, where);
  const auto discharged = ReadSized<int64_t>(file, "visits/discharged", n, where);
  const auto gender = ReadSized<int8_t>(file, "visits/gender", n, where);
  const auto split = ReadSized<int8_t>(file, "visits/split", n, where);
  auto note = ReadSized<std::string>(file, "visits/note", n, where);
  const auto oracle_list = ReadSized<float>(file, "visits/oracle_list", n, where);
  const auto oracle_threshold = ReadSized<float>(file, "visits/oracle_threshold", n, where);
  auto diagnoses = ReadRagged(file, "visits/diagnoses", n, corpus->diagnoses.size(), where);
  auto procedures = ReadRagged(file, "visits/procedures", n, corpus->procedures.size(), where);
  auto drugs = ReadRagged(file, "visits/drugs", n, corpus->drugs.size(), where);
  for (size_t i = 0; i < n; ++i) {
    corpus->visits.push_back(Visit{subject[i], hadm[i], patient[i], previous[i], age[i],
                                   static_cast<char>(gender[i]), static_cast<Split>(split[i]),
                                   std::move(diagnoses[i]), std::move(procedures[i]),
                                   std::move(drugs[i]), std::move(note[i]), oracle_list[i],
                                   oracle_threshold[i], year[i], admitted[i], discharged[i]});
    CheckVisit(*corpus, static_cast<int32_t>(i), where);
  }
}

void WriteVisits(Hdf5File* file, const std::vector<Visit>& visits) {
  file->Write("visits/subject", Column<int64_t>(visits, [](auto& v) { return v.subject; }));
  file->Write("visits/hadm", Column<int64_t>(visits, [](auto& v) { return v.hadm; }));
  file->Write("visits/patient", Column<int32_t>(visits, [](auto& v) { return v.patient; }));
  file->Write("visits/previous", Column<int32_t>(visits, [](auto& v) { return v.previous; }));
  file->Write("visits/age", Column<int32_t>(visits, [](auto& v) { return v.age; }));
  file->Write("visits/year", Column<int32_t>(visits, [](auto& v) { return v.year; }));
  file->Write("visits/admitted", Column<int64_t>(visits, [](auto& v) { return v.admitted; }));
  file->Write("visits/discharged", Column<int64_t>(visits, [](auto& v) { return v.discharged; }));
  file->Write("visits/gender", Column<int8_t>(visits, [](auto& v) { return v.gender; }));
  file->Write("visits/split", Column<int8_t>(visits, [](auto& v) { return v.split; }));
  file->Write("visits/note", Column<std::string>(visits, [](auto& v) { return v.note; }));
  file->Write("visits/oracle_list", Column<float>(visits, [](auto& v) { return v.oracle_list; }));
  file->Write("visits/oracle_threshold",
              Column<float>(visits, [](auto& v) { return v.oracle_threshold; }));
  WriteRagged(file, "visits/diagnoses", ListColumn(visits, &Visit::diagnoses));
  WriteRagged(file, "visits/procedures", ListColumn(visits, &Visit::procedures));
  WriteRagged(file, "visits/drugs", ListColumn(visits, &Visit::drugs));
}

}  // namespace

double DdiGraph::Rate(const std::vector<int32_t>& drugs) const {
  if (drugs.size() < 2) return 0;
  int64_t harmful = 0;
  for (size_t i = 0; i < drugs.size(); ++i) {
    for (size_t j = i + 1; j < drugs.size(); ++j) harmful += Harmful(drugs[i], drugs[j]);
  }
  const size_t pairs = drugs.size() * (drugs.size() - 1) / 2;
  return static_cast<double>(harmful) / static_cast<double>(pairs);
}

std::vector<int32_t> Corpus::VisitsOf(Split split) const {
  std::vector<int32_t> indices;
  for (size_t i = 0; i < visits.size(); ++i) {
    if (visits[i].split == split) indices.push_back(static_cast<int32_t>(i));
  }
  return indices;
}

void WriteCorpus(const Corpus& corpus, const std::filesystem::path& path) {
  AtomicPath target(path, AtomicPath::Kind::kFile);
  Hdf5File file = Hdf5File::Create(target.temporary());
  file.SetAttribute("schema", kSchema);
  file.SetAttribute("hospital", corpus.hospital);
  file.SetAttribute("diagnoses_known", corpus.diagnoses_known);
  file.SetAttribute("num_patients", int64_t{corpus.num_patients});
  WriteVocabulary(&file, "diagnoses", corpus.diagnoses);
  WriteVocabulary(&file, "procedures", corpus.procedures);
  WriteVocabulary(&file, "drugs", corpus.drugs);
  WriteDdi(&file, corpus.ddi);
  WriteCoverage(&file, corpus.coverage);
  WriteFunnel(&file, corpus.funnel);
  WriteVisits(&file, corpus.visits);
  file.Close();
  SealFile(target.temporary());
  target.Commit();
}

Corpus ReadCorpus(const std::filesystem::path& path) {
  const std::string where = path.string();
  CheckSeal(path);
  const Hdf5File file = Hdf5File::OpenForReading(path);
  CheckSchema(file, kSchema, where);
  Corpus corpus;
  corpus.hospital = file.StringAttribute("hospital");
  corpus.diagnoses_known = file.StringAttribute("diagnoses_known");
  corpus.num_patients = static_cast<int32_t>(file.IntAttribute("num_patients"));
  corpus.diagnoses = ReadVocabulary(file, "diagnoses", where);
  corpus.procedures = ReadVocabulary(file, "procedures", where);
  corpus.drugs = ReadVocabulary(file, "drugs", where);
  corpus.ddi = ReadDdi(file, corpus.drugs.size(), where);
  corpus.coverage = ReadCoverage(file, where);
  corpus.funnel = ReadFunnel(file, where);
  ReadVisits(file, &corpus, where);
  return corpus;
}

}  // namespace flame
