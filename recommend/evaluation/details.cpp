#include "recommend/evaluation/details.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace flame {
namespace {

using nlohmann::json;

json ReliabilityJson(const std::string& policy, const Reliability& reliability) {
  json bins = json::array();
  for (const Reliability::Bin& bin : reliability.bins) {
    bins.push_back({{"low", bin.low},
                    {"high", bin.high},
                    {"count", bin.count},
                    {"mean", bin.mean},
                    {"rate", bin.rate}});
  }
  return {{"policy", policy},
          {"ece", reliability.ece},
          {"brier", reliability.brier},
          {"log_loss", reliability.log_loss},
          {"bins", std::move(bins)}};
}

bool Contains(const std::vector<int32_t>& drugs, int32_t drug) {
  return std::find(drugs.begin(), drugs.end(), drug) != drugs.end();
}

// The `most` drugs with the highest counts above 0.
json Commonest(const Corpus& corpus, const std::vector<int64_t>& counts,
               const std::vector<int64_t>& of, size_t most) {
  std::vector<int32_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return counts[a] > counts[b]; });
  json drugs = json::array();
  for (const int32_t drug : order) {
    if (drugs.size() == most || counts[drug] == 0) break;
    drugs.push_back({{"drug", corpus.drugs.codes[drug]},
                     {"name", corpus.drugs.titles[drug]},
                     {"count", counts[drug]},
                     {"of", of[drug]}});
  }
  return drugs;
}

}  // namespace

json CalibrationJson(const Field& field, const std::vector<Row>& rows) {
  const size_t num_drugs = field.corpus.drugs.size();
  std::vector<char> truth(field.visits.size() * num_drugs);
  for (size_t i = 0; i < field.visits.size(); ++i) {
    for (const int32_t drug : field.Truth(i)) truth[i * num_drugs + drug] = 1;
  }
  json result = json::array();
  for (const Row& row : rows) {
    if (!row.scores.probabilities() || row.scores.source != row.policy) continue;
    std::vector<double> probabilities;
    for (size_t i = 0; i < truth.size(); ++i) probabilities.push_back(row.scores.Probability(i));
    result.push_back(ReliabilityJson(row.policy, ReliabilityOf(probabilities, truth)));
  }
  return result;
}

double Sureness(const Row& row, size_t i) {
  const size_t num_drugs = row.scores.values.size() / row.sets.size();
  double all = 0, inside = 0;
  for (size_t drug = 0; drug < num_drugs; ++drug) {
    all += row.scores.Probability(i * num_drugs + drug);
  }
  for (const int32_t drug : row.sets[i]) inside += row.scores.Probability(i * num_drugs + drug);
  if (row.sets[i].empty()) return 0;
  return inside / (static_cast<double>(row.sets[i].size()) + all - inside);
}

json AbstentionJson(const Field& field, const std::vector<Row>& rows) {
  const size_t count = field.visits.size();
  json result = json::array();
  for (const Row& row : rows) {
    if (!row.scores.probabilities()) continue;
    std::vector<double> sure;
    for (size_t i = 0; i < count; ++i) sure.push_back(Sureness(row, i));
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return sure[a] > sure[b]; });
    json levels = json::array();
    for (int tenth = 10; tenth >= 1; --tenth) {
      const size_t kept = (count * static_cast<size_t>(tenth) + 9) / 10;
      double sum = 0;
      for (size_t k = 0; k < kept; ++k) sum += row.values.at("jaccard")[order[k]];
      levels.push_back({{"coverage", tenth / 10.0},
                        {"num_visits", kept},
                        {"jaccard", sum / static_cast<double>(kept)}});
    }
    result.push_back({{"policy", row.policy}, {"levels", std::move(levels)}});
  }
  return result;
}

json DrugErrorsJson(const Field& field, const std::vector<Row>& rows, size_t most) {
  const size_t num_drugs = field.corpus.drugs.size();
  json result = json::array();
  for (const Row& row : rows) {
    std::vector<int64_t> wrong(num_drugs), listed(num_drugs), missed(num_drugs), given(num_drugs);
    for (size_t i = 0; i < row.sets.size(); ++i) {
      for (const int32_t drug : row.sets[i]) {
        listed[drug] += 1;
        if (!Contains(field.Truth(i), drug)) wrong[drug] += 1;
      }
      for (const int32_t drug : field.Truth(i)) {
        given[drug] += 1;
        if (!Contains(row.sets[i], drug)) missed[drug] += 1;
      }
    }
    result.push_back({{"policy", row.policy},
                      {"wrong", Commonest(field.corpus, wrong, listed, most)},
                      {"missed", Commonest(field.corpus, missed, given, most)}});
  }
  return result;
}

json PhiAlongJson(const std::vector<std::vector<float>>& phi) {
  size_t longest = 0;
  for (const std::vector<float>& states : phi) longest = std::max(longest, states.size());
  json steps = json::array();
  for (size_t step = 0; step < std::min(longest, kMaxPhiSteps + 1); ++step) {
    int64_t lists = 0;
    double sum = 0;
    for (const std::vector<float>& states : phi) {
      lists += step < states.size() ? 1 : 0;
      sum += states[std::min(step, states.size() - 1)];
    }
    steps.push_back(
        {{"step", step}, {"lists", lists}, {"phi", sum / static_cast<double>(phi.size())}});
  }
  return steps;
}

}  // namespace flame
