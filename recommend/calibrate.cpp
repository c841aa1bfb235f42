#include "recommend/calibrate.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "recommend/classify.h"

namespace flame {
namespace {

// Tracks the mean Jaccard while drugs are added to the visits' sets one by one.
class GrowingSets {
 public:
  explicit GrowingSets(const std::vector<std::vector<int32_t>>& truth)
      : truth_(truth), size_(truth.size(), 0), hits_(truth.size(), 0) {}
  void Add(size_t visit, int32_t drug) {
    const std::vector<int32_t>& truth = truth_[visit];
    sum_ -= Jaccard(visit);
    ++size_[visit];
    if (std::find(truth.begin(), truth.end(), drug) != truth.end()) ++hits_[visit];
    sum_ += Jaccard(visit);
  }
  double Mean() const { return sum_ / static_cast<double>(truth_.size()); }

 private:
  double Jaccard(size_t visit) const {
    const auto all = size_[visit] + static_cast<int64_t>(truth_[visit].size()) - hits_[visit];
    return all == 0 ? 0 : static_cast<double>(hits_[visit]) / static_cast<double>(all);
  }

  const std::vector<std::vector<int32_t>>& truth_;
  std::vector<int64_t> size_, hits_;
  double sum_ = 0;
};

// Returns an offset in [below, above): 0 if possible. Either bound may be infinite.
double Between(double below, double above) {
  if (below <= 0 && above > 0) return 0;
  if (std::isinf(above)) return below + 1;
  if (std::isinf(below)) return above - 1;
  return below + (above - below) / 2;
}

std::vector<std::vector<int32_t>> TruthOf(const Corpus& corpus,
                                          const std::vector<int32_t>& visits) {
  std::vector<std::vector<int32_t>> truth;
  for (const int32_t visit : visits) truth.push_back(corpus.visits[visit].drugs);
  return truth;
}

// Returns the logits of all visits, [visits, drugs]. Each visit is scored by one rank.
std::vector<float> LogitsOverRanks(int64_t token_budget, const Materials& materials,
                                   const Policy& policy, const std::vector<int32_t>& visits,
                                   Communicator* world) {
  const int rank = world == nullptr ? 0 : world->rank();
  const int size = world == nullptr ? 1 : world->size();
  const int32_t num_drugs = materials.corpus.drugs.size();
  std::vector<int32_t> own;
  for (size_t i = rank; i < visits.size(); i += size) own.push_back(visits[i]);
  std::vector<float> logits = ClassifierLogits(policy, *materials.prompts, num_drugs, own,
                                               token_budget, rank == 0 ? "threshold" : "", world);
  if (size == 1) return logits;
  at::Tensor all = at::zeros({static_cast<int64_t>(visits.size()), num_drugs}, at::kFloat);
  float* rows = all.mutable_data_ptr<float>();
  for (size_t i = 0; i < own.size(); ++i) {
    std::copy_n(logits.begin() + static_cast<int64_t>(i) * num_drugs, num_drugs,
                rows + (i * size + rank) * num_drugs);
  }
  world->AllReduce(all, ReduceOp::kSum)->Wait();
  return {rows, rows + all.numel()};
}

}  // namespace

Calibration BestOffset(const std::vector<float>& logits,
                       const std::vector<std::vector<int32_t>>& truth, int32_t num_drugs) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (std::any_of(logits.begin(), logits.end(), [](float logit) { return std::isnan(logit); })) {
    throw DataError("a logit of the validation visits is not a number; expected numbers");
  }
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  Calibration best;
  best.jaccard = -1;
  best.num_visits = static_cast<int64_t>(truth.size());
  GrowingSets sets(truth);
  double above = kInfinity;
  for (size_t next = 0; next <= order.size();) {
    const double below = next < order.size() ? logits[order[next]] : -kInfinity;
    const double offset = Between(below, above);
    const double jaccard = sets.Mean();
    if (jaccard > best.jaccard ||
        (jaccard == best.jaccard && std::abs(offset) < std::abs(best.offset))) {
      best.jaccard = jaccard;
      best.offset = offset;
    }
    if (offset == 0) best.jaccard_paper = jaccard;
    if (next == order.size()) break;
    for (; next < order.size() && logits[order[next]] == below; ++next) {
      sets.Add(order[next] / num_drugs, static_cast<int32_t>(order[next] % num_drugs));
    }
    above = below;
  }
  return best;
}

Calibration CalibrateClassifier(const ClassifierOptions& options, const Materials& materials,
                                const Policy& policy, Communicator* world) {
  if (options.threshold == "paper") return {};
  const std::vector<int32_t> visits = materials.corpus.VisitsOf(Split::kValidation);
  if (visits.empty()) {
    throw DataError(
        "classifier.threshold is calibrated, and the validation split has no visit; "
        "expected at least one (data.split)");
  }
  const Calibration best =
      BestOffset(LogitsOverRanks(options.token_budget, materials, policy, visits, world),
                 TruthOf(materials.corpus, visits), materials.corpus.drugs.size());
  if (world == nullptr || world->rank() == 0) {
    LogInfo("threshold: offset ", best.offset, ", Jaccard ", best.jaccard, " on ", best.num_visits,
            " validation visits; at P(Yes) > P(No) ", best.jaccard_paper);
  }
  return best;
}

void WriteThreshold(const Calibration& calibration, const std::filesystem::path& model_dir) {
  if (calibration.num_visits == 0) return;
  const nlohmann::json text = {{"offset", calibration.offset},
                               {"jaccard", calibration.jaccard},
                               {"jaccard_paper", calibration.jaccard_paper},
                               {"num_visits", calibration.num_visits}};
  WriteFileAtomically(model_dir / kThresholdFile, text.dump(1) + "\n");
}

double ReadThreshold(const std::filesystem::path& model_dir) {
  const std::filesystem::path path = model_dir / kThresholdFile;
  if (!std::filesystem::exists(path)) return 0;
  const auto text = nlohmann::json::parse(ReadWholeFile(path), nullptr, false);
  if (!text.is_object() || !text.contains("offset") || !text["offset"].is_number()) {
    throw DataError(path.string(), ": expected a JSON object with a number 'offset'");
  }
  return text["offset"];
}

}  // namespace flame
