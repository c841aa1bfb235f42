#include "recommend/evaluation/subgroups.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace flame {
namespace {

using nlohmann::json;

constexpr int64_t kNoBound = std::numeric_limits<int64_t>::max();

// Returns how many training visits have each item.
std::vector<int64_t> TrainingCounts(const Corpus& corpus, std::vector<int32_t> Visit::*items,
                                    int32_t size) {
  std::vector<int64_t> counts(size);
  for (const int32_t visit : corpus.VisitsOf(Split::kTrain)) {
    for (const int32_t item : corpus.visits[visit].*items) counts[item] += 1;
  }
  return counts;
}

std::vector<char> RareDrugs(const Corpus& corpus) {
  return RareItems(TrainingCounts(corpus, &Visit::drugs, corpus.drugs.size()));
}

bool HasAny(const std::vector<int32_t>& items, const std::vector<char>& marked) {
  return std::any_of(items.begin(), items.end(), [&](int32_t item) { return marked[item] != 0; });
}

// Returns the name of the first range whose highest number is at least `number`.
std::string RangeOf(int64_t number, const std::vector<std::pair<int64_t, std::string>>& ranges) {
  return std::find_if(ranges.begin(), ranges.end(),
                      [number](const auto& range) { return number <= range.first; })
      ->second;
}

std::string Order(const Corpus& corpus, const Visit& visit) {
  if (visit.previous < 0) return "first";
  return corpus.visits[visit.previous].previous < 0 ? "second" : "later";
}

std::string Sex(char gender) {
  return gender == 'F' || gender == 'M' ? std::string(1, gender) : "unknown";
}

// The kinds of groups, each with its values in the order they are shown.
struct Kind {
  std::string by;
  std::vector<std::string> values;
};
const Kind kKinds[] = {{"visit", {"first", "second", "later"}},
                       {"age", {"below 45", "45 to 64", "65 to 79", "80 and above"}},
                       {"sex", {"F", "M", "unknown"}},
                       {"drugs", {"0 to 5", "6 to 10", "11 to 20", "above 20"}},
                       {"rare drug", {"yes", "no"}},
                       {"rare diagnosis", {"yes", "no"}}};

// The value of a visit for each kind.
std::vector<std::string> ValuesOf(const Corpus& corpus, const Visit& visit,
                                  const std::vector<char>& rare_drugs,
                                  const std::vector<char>& rare_diagnoses) {
  return {
      Order(corpus, visit),
      RangeOf(visit.age,
              {{44, "below 45"}, {64, "45 to 64"}, {79, "65 to 79"}, {kNoBound, "80 and above"}}),
      Sex(visit.gender),
      RangeOf(static_cast<int64_t>(visit.drugs.size()),
              {{5, "0 to 5"}, {10, "6 to 10"}, {20, "11 to 20"}, {kNoBound, "above 20"}}),
      HasAny(visit.drugs, rare_drugs) ? "yes" : "no",
      HasAny(visit.diagnoses, rare_diagnoses) ? "yes" : "no"};
}

std::vector<double> Chosen(const std::vector<double>& values, const std::vector<size_t>& places) {
  std::vector<double> chosen;
  for (const size_t place : places) chosen.push_back(values[place]);
  return chosen;
}

json RowOfGroup(const Field& part, const Row& row, const std::vector<size_t>& places) {
  const auto mean = [&](const char* metric) { return Mean(Chosen(row.values.at(metric), places)); };
  const Interval jaccard = part.statistics.Bootstrap(Chosen(row.values.at("jaccard"), places));
  json fields = {{"policy", row.policy},     {"jaccard", jaccard.mean},
                 {"jaccard_ci", nullptr},    {"precision", mean("precision")},
                 {"recall", mean("recall")}, {"ddi", mean("ddi")},
                 {"drugs", mean("drugs")}};
  if (NumPatients(part) >= kFewPatients) fields["jaccard_ci"] = {jaccard.low, jaccard.high};
  return fields;
}

json Share(int64_t part, int64_t whole) {
  if (whole == 0) return nullptr;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::vector<char> RareItems(const std::vector<int64_t>& counts) {
  std::vector<int32_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return counts[a] < counts[b]; });
  const double most =
      kRareShare * static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  std::vector<char> rare(counts.size());
  int64_t sum = 0;
  for (const int32_t item : order) {
    sum += counts[item];
    if (static_cast<double>(sum) > most) break;
    rare[item] = 1;
  }
  return rare;
}

int64_t NumPatients(const Field& field) {
  std::set<int32_t> patients;
  for (size_t i = 0; i < field.visits.size(); ++i) patients.insert(field.At(i).patient);
  return static_cast<int64_t>(patients.size());
}

std::vector<VisitGroup> GroupsOf(const Field& field) {
  const Corpus& corpus = field.corpus;
  const std::vector<char> drugs = RareDrugs(corpus);
  const std::vector<char> diagnoses =
      RareItems(TrainingCounts(corpus, &Visit::diagnoses, corpus.diagnoses.size()));
  std::vector<VisitGroup> all;
  for (const Kind& kind : kKinds) {
    for (const std::string& value : kind.values) all.push_back({kind.by, value, {}});
  }
  for (size_t i = 0; i < field.visits.size(); ++i) {
    const std::vector<std::string> values = ValuesOf(corpus, field.At(i), drugs, diagnoses);
    for (VisitGroup& group : all) {
      for (size_t k = 0; k < values.size(); ++k) {
        if (group.by == kKinds[k].by && group.value == values[k]) group.places.push_back(i);
      }
    }
  }
  std::erase_if(all, [](const VisitGroup& group) { return group.places.empty(); });
  return all;
}

json SubgroupsJson(const Field& field, const std::vector<Row>& rows) {
  json groups = json::array();
  for (const VisitGroup& group : GroupsOf(field)) {
    const Field part = field.Part(group.places);
    std::vector<double> ddi, drugs;
    for (size_t i = 0; i < part.visits.size(); ++i) {
      ddi.push_back(part.corpus.ddi.Rate(part.Truth(i)));
      drugs.push_back(static_cast<double>(part.Truth(i).size()));
    }
    json item = {{"by", group.by},
                 {"value", group.value},
                 {"num_visits", part.visits.size()},
                 {"num_patients", NumPatients(part)},
                 {"truth", {{"ddi", Mean(ddi)}, {"drugs", Mean(drugs)}}},
                 {"rows", json::array()}};
    for (const Row& row : rows) item["rows"].push_back(RowOfGroup(part, row, group.places));
    groups.push_back(std::move(item));
  }
  return groups;
}

json RareDrugsJson(const Field& field, const std::vector<Row>& rows) {
  const std::vector<char> rare = RareDrugs(field.corpus);
  json result = {{"drugs", std::count(rare.begin(), rare.end(), 1)},
                 {"of", rare.size()},
                 {"rows", json::array()}};
  for (const Row& row : rows) {
    int64_t listed = 0, given = 0, right = 0;
    for (size_t i = 0; i < row.sets.size(); ++i) {
      const std::vector<int32_t>& truth = field.Truth(i);
      for (const int32_t drug : truth) given += rare[drug];
      for (const int32_t drug : row.sets[i]) {
        if (rare[drug] == 0) continue;
        listed += 1;
        right += std::find(truth.begin(), truth.end(), drug) != truth.end() ? 1 : 0;
      }
    }
    result["rows"].push_back({{"policy", row.policy},
                              {"listed", listed},
                              {"given", given},
                              {"right", right},
                              {"precision", Share(right, listed)},
                              {"recall", Share(right, given)}});
  }
  return result;
}

}  // namespace flame
