#include "data/export/write_records.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files/atomic_file.h"
#include "data/hospitals/split.h"

namespace flame {
namespace {

using nlohmann::ordered_json;

ordered_json EntriesOf(const Vocabulary& vocabulary, const char* title) {
  ordered_json entries = ordered_json::array();
  for (int32_t i = 0; i < vocabulary.size(); ++i) {
    ordered_json entry = {{"code", vocabulary.codes[i]}};
    if (vocabulary.titles[i] != vocabulary.codes[i]) entry[title] = vocabulary.titles[i];
    entries.push_back(std::move(entry));
  }
  return entries;
}

ordered_json PairsOf(const DdiGraph& ddi) {
  ordered_json pairs = ordered_json::array();
  for (int32_t a = 0; a < ddi.num_drugs(); ++a) {
    for (int32_t b = a + 1; b < ddi.num_drugs(); ++b) {
      if (ddi.Harmful(a, b)) pairs.push_back({a, b});
    }
  }
  return pairs;
}

ordered_json CodesOf(const Vocabulary& vocabulary, const std::vector<int32_t>& ids) {
  ordered_json codes = ordered_json::array();
  for (const int32_t id : ids) codes.push_back(vocabulary.codes[id]);
  return codes;
}

ordered_json LineOf(const Corpus& corpus, size_t i) {
  const Visit& visit = corpus.visits[i];
  ordered_json line = {{"subject", visit.subject},
                       {"hadm", visit.hadm},
                       {"diagnoses", CodesOf(corpus.diagnoses, visit.diagnoses)},
                       {"procedures", CodesOf(corpus.procedures, visit.procedures)},
                       {"drugs", CodesOf(corpus.drugs, visit.drugs)},
                       {"age", visit.age},
                       {"gender", std::string(1, visit.gender)},
                       {"split", NameOf(visit.split)}};
  if (!visit.note.empty()) line["note"] = visit.note;
  const bool follows = i > 0 && corpus.visits[i - 1].patient == visit.patient;
  if (visit.previous != (follows ? static_cast<int32_t>(i) - 1 : -1)) {
    line["previous"] =
        visit.previous < 0 ? ordered_json() : ordered_json(corpus.visits[visit.previous].hadm);
  }
  return line;
}

}  // namespace

void WriteRecords(const Corpus& corpus, const std::filesystem::path& path) {
  const ordered_json header = {{"schema", "flame.records/1"},
                               {"diagnoses", EntriesOf(corpus.diagnoses, "title")},
                               {"procedures", EntriesOf(corpus.procedures, "title")},
                               {"drugs", EntriesOf(corpus.drugs, "name")},
                               {"ddi", PairsOf(corpus.ddi)}};
  std::string text = header.dump() + "\n";
  for (size_t i = 0; i < corpus.visits.size(); ++i) text += LineOf(corpus, i).dump() + "\n";
  WriteFileAtomically(path, text);
}

}  // namespace flame
