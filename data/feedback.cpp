#include "data/feedback.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

using nlohmann::json;

// The indices of the visits and drugs that the lines name.
struct Indices {
  std::map<int64_t, int32_t> visit_of;     // by hadm
  std::map<std::string, int32_t> drug_of;  // by code
};

Indices IndicesOf(const Corpus& corpus) {
  Indices indices;
  for (size_t v = 0; v < corpus.visits.size(); ++v) {
    indices.visit_of[corpus.visits[v].hadm] = static_cast<int32_t>(v);
  }
  for (int32_t d = 0; d < corpus.drugs.size(); ++d) indices.drug_of[corpus.drugs.codes[d]] = d;
  return indices;
}

std::vector<int32_t> DrugsOf(const json& line, const char* name, const Indices& indices,
                             std::set<int32_t>* named) {
  std::vector<int32_t> drugs;
  if (!line.contains(name)) return drugs;
  if (!line[name].is_array()) {
    throw DataError("'", name, "' is ", line[name].dump(), "; expected a list of drug codes");
  }
  for (const json& code : line[name]) {
    const auto found =
        code.is_string() ? indices.drug_of.find(code.get<std::string>()) : indices.drug_of.end();
    if (found == indices.drug_of.end()) {
      throw DataError("'", name, "' has ", code.dump(), "; expected a drug code of the corpus");
    }
    if (!named->insert(found->second).second) {
      throw DataError("drug ", code.dump(),
                      " is there twice; expected it in one of accepted, "
                      "removed and added, once");
    }
    drugs.push_back(found->second);
  }
  std::sort(drugs.begin(), drugs.end());
  return drugs;
}

std::pair<int32_t, Decision> ReadLine(const std::string& text, const Indices& indices) {
  const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object())
    throw DataError("expected a JSON object, found '", text.substr(0, 80), "'");
  for (const auto& [name, value] : line.items()) {
    if (name != "hadm" && name != "accepted" && name != "removed" && name != "added") {
      throw DataError("'", name, "' is not known; expected hadm, accepted, removed, added");
    }
  }
  if (!line.contains("hadm") || !line["hadm"].is_number_integer()) {
    throw DataError("expected 'hadm', the number of a visit");
  }
  const auto visit = indices.visit_of.find(line["hadm"].get<int64_t>());
  if (visit == indices.visit_of.end()) {
    throw DataError("hadm ", line["hadm"].dump(), " is no visit of the corpus");
  }
  std::set<int32_t> named;
  Decision decision;
  decision.accepted = DrugsOf(line, "accepted", indices, &named);
  decision.removed = DrugsOf(line, "removed", indices, &named);
  decision.added = DrugsOf(line, "added", indices, &named);
  if (named.empty()) throw DataError("names no drug; expected one in at least one of the lists");
  return {visit->second, decision};
}

}  // namespace

std::map<int32_t, Decision> ReadFeedback(const std::filesystem::path& path, const Corpus& corpus) {
  const Indices indices = IndicesOf(corpus);
  std::istringstream lines(ReadWholeFile(path));
  std::map<int32_t, Decision> feedback;
  int64_t number = 0;
  for (std::string text; std::getline(lines, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      const auto [visit, decision] = ReadLine(text, indices);
      if (!feedback.emplace(visit, decision).second) {
        throw DataError("hadm ", corpus.visits[visit].hadm, " is there for the second time");
      }
    } catch (const DataError& error) {
      throw DataError(path.string(), ": line ", number, ": ", error.what());
    }
  }
  if (feedback.empty()) throw DataError(path.string(), ": holds no decision; expected JSON lines");
  return feedback;
}

Corpus WithFeedback(const Corpus& corpus, const std::map<int32_t, Decision>& feedback) {
  Corpus corrected = corpus;
  for (const auto& [visit, decision] : feedback) {
    std::vector<int32_t>& drugs = corrected.visits[visit].drugs;
    std::erase_if(drugs, [&](int32_t drug) {
      return std::binary_search(decision.removed.begin(), decision.removed.end(), drug);
    });
    for (const auto* more : {&decision.accepted, &decision.added}) {
      for (const int32_t drug : *more) {
        if (std::find(drugs.begin(), drugs.end(), drug) == drugs.end()) drugs.push_back(drug);
      }
    }
  }
  return corrected;
}

}  // namespace flame
