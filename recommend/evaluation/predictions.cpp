#include "recommend/evaluation/predictions.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/strict_json.h"

namespace flame {
namespace {

using nlohmann::json;

// Reads the lines of a file, one after the other.
class Reader {
 public:
  Reader(const Corpus& corpus, const std::vector<int32_t>& visits) : corpus_(corpus) {
    for (const Visit& visit : corpus.visits) places_[visit.hadm] = kElsewhere;
    for (size_t i = 0; i < visits.size(); ++i) {
      places_[corpus.visits[visits[i]].hadm] = static_cast<int64_t>(i);
    }
    for (int32_t drug = 0; drug < corpus.drugs.size(); ++drug) {
      drugs_[corpus.drugs.codes[drug]] = drug;
    }
    predictions_.drugs.resize(visits.size());
    seen_.resize(visits.size());
  }

  void Read(const std::string& text) {
    const json line = ParseJsonObject(text);
    for (const auto& [name, value] : line.items()) {
      if (name == "hadm_id" || name == "drugs" || name == "scores") continue;
      throw DataError("'", name, "' is not known; expected hadm_id, drugs and perhaps scores");
    }
    const int64_t place = PlaceOf(line);
    std::vector<int32_t> drugs = DrugsOf(line);
    const auto scores = line.find("scores");
    if (any_ && (scores != line.end()) != has_scores_) {
      throw DataError(has_scores_ ? "has no scores" : "has scores",
                      ", unlike the lines before; expected them in every line or in none");
    }
    has_scores_ = scores != line.end();
    any_ = true;
    std::vector<double> row;
    if (has_scores_) row = ScoresOf(*scores);
    if (place == kElsewhere) return;
    if (seen_[place]) throw DataError("HADM_ID ", ShownJson(line["hadm_id"]), " has a line before");
    seen_[place] = true;
    predictions_.drugs[place] = std::move(drugs);
    if (!has_scores_) return;
    scores_.resize(seen_.size() * drugs_.size());
    std::copy(row.begin(), row.end(),
              scores_.begin() + place * static_cast<int64_t>(drugs_.size()));
  }

  // Returns what was read; `visits` are those of the constructor.
  Predictions Finish(const std::vector<int32_t>& visits) {
    const auto missing = std::find(seen_.begin(), seen_.end(), false);
    if (missing != seen_.end()) {
      throw DataError("no line of HADM_ID ", corpus_.visits[visits[missing - seen_.begin()]].hadm,
                      "; ", std::count(missing, seen_.end(), false), " of ", visits.size(),
                      " visits are missing");
    }
    predictions_.scores = Ranks();
    return std::move(predictions_);
  }

 private:
  static constexpr int64_t kElsewhere = -1;  // a visit that is not asked for

  int64_t PlaceOf(const json& line) const {
    const auto hadm = line.find("hadm_id");
    if (hadm == line.end() || !hadm->is_number_integer()) {
      throw DataError("'hadm_id' is ", hadm == line.end() ? "missing" : ShownJson(*hadm),
                      "; expected a whole number");
    }
    const auto place = places_.find(hadm->get<int64_t>());
    if (place == places_.end()) {
      throw DataError("HADM_ID ", ShownJson(*hadm), " is no visit of the corpus");
    }
    return place->second;
  }

  int32_t DrugOf(const json& code) const {
    if (code.is_string()) {
      const auto drug = drugs_.find(code.get_ref<const std::string&>());
      if (drug != drugs_.end()) return drug->second;
    }
    throw DataError("drug ", ShownJson(code), " is not in the corpus; expected codes such as '",
                    corpus_.drugs.codes[0], "'");
  }

  std::vector<int32_t> DrugsOf(const json& line) const {
    const auto member = line.find("drugs");
    if (member == line.end() || !member->is_array()) {
      throw DataError("'drugs' is ", member == line.end() ? "missing" : ShownJson(*member),
                      "; expected a list of drug codes");
    }
    std::vector<int32_t> drugs;
    for (const json& code : *member) drugs.push_back(DrugOf(code));
    std::sort(drugs.begin(), drugs.end());
    const auto twice = std::adjacent_find(drugs.begin(), drugs.end());
    if (twice != drugs.end()) {
      throw DataError("drug '", corpus_.drugs.codes[*twice], "' is there twice");
    }
    return drugs;
  }

  // Returns each drug's score; kNoScore where there is none.
  std::vector<double> ScoresOf(const json& scores) const {
    if (!scores.is_object()) {
      throw DataError("'scores' is ", ShownJson(scores),
                      "; expected an object of codes and numbers");
    }
    std::vector<double> row(drugs_.size(), kNoScore);
    for (const auto& [code, score] : scores.items()) {
      if (!score.is_number() || !std::isfinite(score.get<double>())) {
        throw DataError("the score of '", code, "' is ", ShownJson(score), "; expected a number");
      }
      row[DrugOf(code)] = score.get<double>();
    }
    return row;
  }

  // Returns the ranks of all scores: as float32 numbers, different scores could be equal.
  std::vector<float> Ranks() const {
    std::vector<double> values = scores_;
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    const bool lacking = !values.empty() && values.front() == kNoScore;
    std::vector<float> ranks;
    for (const double score : scores_) {
      const auto place = std::lower_bound(values.begin(), values.end(), score) - values.begin();
      ranks.push_back(static_cast<float>(place - (lacking ? 1 : 0)));
    }
    return ranks;
  }

  static constexpr double kNoScore = -std::numeric_limits<double>::infinity();
  const Corpus& corpus_;
  std::unordered_map<int64_t, int64_t> places_;  // of a HADM_ID: its number among the visits
  std::unordered_map<std::string, int32_t> drugs_;
  Predictions predictions_;
  std::vector<double> scores_;  // [visits, drugs]; empty without scores
  std::vector<bool> seen_;      // [visit]
  bool any_ = false, has_scores_ = false;
};

// Returns the scores of visit i as a JSON object.
std::string ScoresText(const Corpus& corpus, const std::vector<float>& scores, size_t i) {
  const int32_t num_drugs = corpus.drugs.size();
  std::string text;
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    char number[32];
    const auto end = std::to_chars(number, number + sizeof number, scores[i * num_drugs + drug]);
    text += drug == 0 ? "{" : ",";
    text += json(corpus.drugs.codes[drug]).dump() + ":" + std::string(number, end.ptr);
  }
  return text + "}";
}

}  // namespace

Predictions ReadPredictions(const std::filesystem::path& file, const Corpus& corpus,
                            const std::vector<int32_t>& visits) {
  Reader reader(corpus, visits);
  std::istringstream lines(ReadWholeFile(file));
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      reader.Read(line);
    } catch (const DataError& error) {
      throw DataError(file.string(), ", line ", number, ": ", error.what());
    }
  }
  try {
    return reader.Finish(visits);
  } catch (const DataError& error) {
    throw DataError(file.string(), ": ", error.what());
  }
}

void WritePredictions(const std::filesystem::path& file, const Corpus& corpus,
                      const std::vector<int32_t>& visits,
                      const std::vector<std::vector<int32_t>>& drugs,
                      const std::vector<float>& scores) {
  std::string text;
  for (size_t i = 0; i < visits.size(); ++i) {
    json codes = json::array();
    for (const int32_t drug : drugs[i]) codes.push_back(corpus.drugs.codes[drug]);
    text += "{\"hadm_id\":" + std::to_string(corpus.visits[visits[i]].hadm) +
            ",\"drugs\":" + codes.dump();
    if (!scores.empty()) text += ",\"scores\":" + ScoresText(corpus, scores, i);
    text += "}\n";
  }
  WriteFileAtomically(file, text);
}

}  // namespace flame
