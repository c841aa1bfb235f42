#include "recommend/baselines/logistic.h"

#include <ATen/Parallel.h>
#include <linear.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace flame {
namespace {

// The facts of some visits as liblinear reads them: indices from 1, the constant fact and an end
// mark behind them.
class Rows {
 public:
  Rows(const Facts& facts, const std::vector<int32_t>& visits) : constant_(facts.size + 1) {
    for (const int32_t visit : visits) {
      std::vector<feature_node>& row = rows_.emplace_back();
      for (const Fact& fact : facts.visits[visit]) row.push_back({fact.index + 1, fact.value});
      row.push_back({constant_, 1});
      row.push_back({-1, 0});
    }
    for (std::vector<feature_node>& row : rows_) pointers_.push_back(row.data());
  }
  int size() const { return static_cast<int>(rows_.size()); }
  int num_facts() const { return constant_; }
  const feature_node* operator[](size_t i) const { return pointers_[i]; }
  feature_node** data() const { return pointers_.data(); }

 private:
  int constant_;
  std::vector<std::vector<feature_node>> rows_;
  mutable std::vector<feature_node*> pointers_;  // liblinear changes none of them
};

double Sum(const double* weights, const feature_node* row) {
  double sum = 0;
  for (; row->index != -1; ++row) sum += weights[row->index - 1] * row->value;
  return sum;
}

// Returns the weights of one drug. `given` is 1 for a visit that has the drug, -1 for others, both
// occurring.
std::vector<double> Fit(const Rows& rows, std::vector<double>* given) {
  problem task{rows.size(), rows.num_facts(), given->data(), rows.data(), /*bias=*/-1};
  parameter options{};
  options.solver_type = L2R_LR;
  options.C = 1;
  options.eps = 1e-4;
  model* fitted = train(&task, &options);
  std::vector<double> weights(fitted->w, fitted->w + rows.num_facts());
  // The weights are those of the class that came first.
  if (fitted->label[0] != 1) {
    for (double& weight : weights) weight = -weight;
  }
  free_and_destroy_model(&fitted);
  return weights;
}

}  // namespace

std::vector<float> LogisticLogits(const Corpus& corpus, const Facts& facts,
                                  const std::vector<int32_t>& train,
                                  const std::vector<int32_t>& visits) {
  set_print_string_function([](const char*) {});
  const Rows rows(facts, train), asked(facts, visits);
  const int64_t num_drugs = corpus.drugs.size();
  std::vector<float> logits(visits.size() * num_drugs);
  at::parallel_for(0, num_drugs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t drug = begin; drug < end; ++drug) {
      std::vector<double> given;
      int64_t count = 0;
      for (const int32_t visit : train) {
        const std::vector<int32_t>& drugs = corpus.visits[visit].drugs;
        const bool has = std::find(drugs.begin(), drugs.end(), drug) != drugs.end();
        given.push_back(has ? 1 : -1);
        count += has;
      }
      const auto others = static_cast<double>(rows.size() - count);
      const bool constant = count == 0 || count == rows.size();
      const std::vector<double> weights = constant ? std::vector<double>() : Fit(rows, &given);
      for (size_t i = 0; i < visits.size(); ++i) {
        logits[i * num_drugs + drug] = static_cast<float>(
            constant ? std::log((static_cast<double>(count) + 0.5) / (others + 0.5))
                     : Sum(weights.data(), asked[i]));
      }
    }
  });
  return logits;
}

}  // namespace flame
