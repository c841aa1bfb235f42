#include "encoders/micron.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "encoders/code_lists.h"
#include "encoders/dropout.h"
#include "encoders/losses.h"

namespace flame {
namespace {

constexpr double kNowShare = 0.75;  // of the visit; the previous visit has the rest
constexpr double kMarginWeight = 0.05;
constexpr double kMostDdi = 0.08;     // DDI rate above which the DDI loss counts
constexpr double kLossWeight = 0.25;  // of each of the four losses

Shapes ShapesOf(const CodeCounts& counts, int64_t dim) {
  return {{"embeddings.0.weight", {counts.diagnoses, dim}},
          {"embeddings.1.weight", {counts.procedures, dim}},
          {"health_net.0.weight", {dim, 2 * dim}},
          {"health_net.0.bias", {dim}},
          {"prescription_net.0.weight", {4 * dim, dim}},
          {"prescription_net.0.bias", {4 * dim}},
          {"prescription_net.2.weight", {counts.drugs, 4 * dim}},
          {"prescription_net.2.bias", {counts.drugs}}};
}

std::vector<int32_t> PreviousOf(const Corpus& corpus, const std::vector<int32_t>& visits) {
  std::vector<int32_t> previous;
  for (const int32_t visit : visits) {
    previous.push_back(visit < 0 ? -1 : corpus.visits[visit].previous);
  }
  return previous;
}

// The visits before, as far as a loss may see them: a training visit's only if it is one itself.
std::vector<int32_t> TrainedPreviousOf(const Corpus& corpus, const std::vector<int32_t>& visits) {
  std::vector<int32_t> previous = PreviousOf(corpus, visits);
  for (size_t i = 0; i < visits.size(); ++i) {
    if (previous[i] < 0) continue;
    const Split before = corpus.visits[previous[i]].split;
    if (before != Split::kTrain && before != corpus.visits[visits[i]].split) previous[i] = -1;
  }
  return previous;
}

at::Tensor IsVisit(const std::vector<int32_t>& visits) {
  at::Tensor is = at::zeros({static_cast<int64_t>(visits.size())}, at::kFloat);
  for (size_t i = 0; i < visits.size(); ++i) is.mutable_data_ptr<float>()[i] = visits[i] >= 0;
  return is;
}

// 1 where the drugs with P >= 1/2 have a DDI rate above kMostDdi, else 0; [B].
at::Tensor IsHarmful(const at::Tensor& probabilities, const at::Tensor& ddi) {
  const at::Tensor chosen = (probabilities.detach() >= 0.5).to(at::kFloat);
  const at::Tensor count = chosen.sum(1);
  // Ordered pairs on both sides.
  return (DdiSum(chosen, ddi) > kMostDdi * count * (count - 1)).to(at::kFloat);
}

}  // namespace

Micron::Micron(NamedTensors parameters, const MicronOptions& options)
    : VisitEncoder(std::move(parameters)), dropout_(options.dropout) {}

Micron Micron::Random(const CodeCounts& counts, const MicronOptions& options, uint64_t seed) {
  ParameterInit init(seed);
  const int64_t dim = options.dim;
  init.Uniform("embeddings.0.weight", {counts.diagnoses, dim}, 0.1);
  init.Uniform("embeddings.1.weight", {counts.procedures, dim}, 0.1);
  init.Linear("health_net.0", dim, 2 * dim);
  init.Linear("prescription_net.0", 4 * dim, dim);
  init.Linear("prescription_net.2", counts.drugs, 4 * dim);
  return {init.Take(), options};
}

Micron Micron::Load(const std::filesystem::path& file, const CodeCounts& counts,
                    const MicronOptions& options) {
  return {ReadParameters(file, ShapesOf(counts, options.dim)), options};
}

// Returns the sum of the codes' vectors of each visit, [B, dim].
at::Tensor Micron::Sum(const Corpus& corpus, const std::vector<int32_t>& visits,
                       std::vector<int32_t> Visit::*list, const char* table, uint64_t dropout_seed,
                       uint32_t mask) const {
  const at::Tensor& vectors = (*this)[table];
  std::vector<const Visit*> of;
  for (const int32_t visit : visits) of.push_back(visit < 0 ? nullptr : &corpus.visits[visit]);
  const CodeLists lists = ListsOf(of, visits, list, vectors.size(0));
  at::Tensor terms = vectors.index_select(0, lists.codes);
  if (dropout_seed != 0) terms = DropOut(terms, dropout_, dropout_seed, mask, lists.rows);
  return at::zeros({static_cast<int64_t>(visits.size()), vectors.size(1)}, at::kFloat)
      .index_add(0, lists.owners, terms);
}

at::Tensor Micron::Health(const Corpus& corpus, const std::vector<int32_t>& visits,
                          uint64_t dropout_seed, uint32_t first_mask) const {
  const at::Tensor diagnoses =
      Sum(corpus, visits, &Visit::diagnoses, "embeddings.0.weight", dropout_seed, first_mask);
  const at::Tensor procedures =
      Sum(corpus, visits, &Visit::procedures, "embeddings.1.weight", dropout_seed, first_mask + 1);
  return Linear("health_net.0", at::cat({diagnoses, procedures}, 1));
}

at::Tensor Micron::Drugs(const at::Tensor& health) const {
  return Linear("prescription_net.2", at::relu(Linear("prescription_net.0", health)));
}

at::Tensor Micron::Loss(const Corpus& corpus, const std::vector<int32_t>& visits,
                        uint64_t dropout_seed) const {
  const std::vector<int32_t> previous = TrainedPreviousOf(corpus, visits);
  const at::Tensor health = Health(corpus, visits, dropout_seed, 0);
  const at::Tensor health_last = Health(corpus, previous, dropout_seed, 2);
  const at::Tensor now = Drugs(health), last = Drugs(health_last);
  const at::Tensor residual = Drugs(health - health_last);
  const at::Tensor p = at::sigmoid(now), p_last = at::sigmoid(last);
  const at::Tensor has_last = IsVisit(previous);
  const auto both = [&](const at::Tensor& of_now, const at::Tensor& of_last) {
    return kNowShare * of_now + (1 - kNowShare) * has_last * of_last;
  };
  const DrugTargets targets = TargetsOf(corpus, visits), targets_last = TargetsOf(corpus, previous);
  const at::Tensor entropy =
      both(CrossEntropy(now, targets.given), CrossEntropy(last, targets_last.given));
  const at::Tensor margin =
      kMarginWeight * both(MarginLoss(p, targets), MarginLoss(p_last, targets_last));
  const double share = 1.0 / corpus.drugs.size();
  const at::Tensor reconstruction =
      has_last * share * (p - at::sigmoid(last + residual)).square().sum(1);
  const at::Tensor ddi = DdiMatrix(corpus.ddi);
  const at::Tensor harm = IsHarmful(p, ddi) * share * DdiSum(p, ddi);
  return kLossWeight * (entropy + margin + reconstruction + harm);
}

at::Tensor Micron::Logits(const Corpus& corpus, const std::vector<int32_t>& visits) const {
  const c10::NoGradGuard no_grad;
  at::Tensor sum =
      at::zeros({static_cast<int64_t>(visits.size()), corpus.drugs.size()}, at::kFloat);
  // Goes back one visit of every patient at a time.
  std::vector<int32_t> at_visits = visits;
  while (std::any_of(at_visits.begin(), at_visits.end(), [](int32_t v) { return v >= 0; })) {
    const std::vector<int32_t> previous = PreviousOf(corpus, at_visits);
    const at::Tensor health = Health(corpus, at_visits, 0, 0);
    const at::Tensor residual = Drugs(health - Health(corpus, previous, 0, 0));
    const at::Tensor is_first = ((1 - IsVisit(previous)) > 0).unsqueeze(1);
    sum += IsVisit(at_visits).unsqueeze(1) * at::where(is_first, Drugs(health), residual);
    at_visits = previous;
  }
  return sum;
}

}  // namespace flame
