#include "encoders/raremed.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "encoders/long_tensor.h"
#include "encoders/losses.h"
#include "encoders/transformer_encoder.h"

namespace flame {
namespace {

constexpr double kDdiFactor = 0.0005;

const char* const kTables[] = {"embeddings.0.weight", "embeddings.1.weight"};
const char* const kPlaces[] = {"positional_embedding_layer_disease.embeddings.weight",
                               "positional_embedding_layer_procedure.embeddings.weight"};

TransformerShape ShapeOf(const RaremedOptions& options) {
  return {options.dim, options.layers, options.heads, options.hidden, options.dropout};
}

Shapes ShapesOf(const CodeCounts& counts, const RaremedOptions& options) {
  const int64_t dim = options.dim, codes = counts.diagnoses + counts.procedures + 2;
  Shapes shapes = {{kTables[0], {counts.diagnoses + 1, dim}},
                   {kTables[1], {counts.procedures + 1, dim}},
                   {kPlaces[0], {kMostPlaces, dim}},
                   {kPlaces[1], {kMostPlaces, dim}},
                   {"special_embeddings.weight", {2, dim}},
                   {"segment_embedding.weight", {2, dim}},
                   {"cls_mask.weight", {codes, dim}},
                   {"cls_mask.bias", {codes}},
                   {"cls_nsp.weight", {1, dim}},
                   {"cls_nsp.bias", {1}},
                   {"cls_final.weight", {counts.drugs, dim}},
                   {"cls_final.bias", {counts.drugs}}};
  shapes.merge(TransformerShapes("transformer_visit", ShapeOf(options)));
  return shapes;
}

// Keeps the codes that the encoder knows, at most as many as it has places for.
std::vector<int32_t> Known(const std::vector<int32_t>& codes, int64_t count) {
  std::vector<int32_t> known;
  for (const int32_t code : codes) {
    if (code < count && static_cast<int64_t>(known.size()) + 1 < kMostPlaces) known.push_back(code);
  }
  return known;
}

// Hides a share of the codes; `mask` is the number of codes, which is the code of [MASK].
void Hide(double share, int64_t mask, RandomStream* random, std::vector<int32_t>* codes) {
  for (int32_t& code : *codes) {
    if (!random->Bernoulli(share)) continue;
    const double what = random->Uniform();
    if (what < 0.8) {
      code = static_cast<int32_t>(mask);
    } else if (what < 0.9) {
      code = static_cast<int32_t>(random->Below(mask + 1));
    }
  }
}

}  // namespace

Raremed::Raremed(NamedTensors parameters, const CodeCounts& counts, const RaremedOptions& options)
    : VisitEncoder(std::move(parameters)), counts_(counts), options_(options) {
  if (options.dim % options.heads != 0) {
    throw UsageError("raremed.heads is ", options.heads, " and raremed.dim ", options.dim,
                     "; expected heads that divide it");
  }
}

Raremed Raremed::Random(const CodeCounts& counts, const RaremedOptions& options, uint64_t seed) {
  ParameterInit init(seed);
  const int64_t dim = options.dim;
  init.Uniform(kTables[0], {counts.diagnoses + 1, dim}, 0.1);
  init.Uniform(kTables[1], {counts.procedures + 1, dim}, 0.1);
  for (const char* places : kPlaces) init.Uniform(places, {kMostPlaces, dim}, 0.1);
  init.Uniform("special_embeddings.weight", {2, dim}, 0.1);
  init.Uniform("segment_embedding.weight", {2, dim}, 0.1);
  InitTransformer("transformer_visit", ShapeOf(options), &init);
  init.Linear("cls_mask", counts.diagnoses + counts.procedures + 2, dim);
  init.Linear("cls_nsp", 1, dim);
  init.Linear("cls_final", counts.drugs, dim);
  return {init.Take(), counts, options};
}

Raremed Raremed::Load(const std::filesystem::path& file, const CodeCounts& counts,
                      const RaremedOptions& options) {
  return {ReadParameters(file, ShapesOf(counts, options)), counts, options};
}

int64_t Raremed::LengthOf(const Visit& visit) {
  return static_cast<int64_t>(visit.diagnoses.size() + visit.procedures.size()) + 2;
}

CodedVisit Raremed::CodesOf(const Corpus& corpus, int32_t visit) const {
  return {Known(corpus.visits[visit].diagnoses, counts_.diagnoses),
          Known(corpus.visits[visit].procedures, counts_.procedures), visit};
}

// Returns the vectors of the visits, [visits, dim].
at::Tensor Raremed::Encode(const std::vector<CodedVisit>& visits, uint64_t dropout_seed) const {
  // One table of all tokens: diagnoses, procedures, [CLS], [SEP].
  const at::Tensor table =
      at::cat({(*this)[kTables[0]], (*this)[kTables[1]], (*this)["special_embeddings.weight"]});
  const at::Tensor places = at::cat({(*this)[kPlaces[0]], (*this)[kPlaces[1]]});
  const int64_t procedures = counts_.diagnoses + 1;
  const int64_t cls = procedures + counts_.procedures + 1, sep = cls + 1;
  std::vector<int64_t> tokens, place, segments, lengths, keys;
  const auto add = [&](int64_t token, int64_t at, int64_t segment) {
    tokens.push_back(token);
    place.push_back(at);
    segments.push_back(segment);
  };
  for (const CodedVisit& visit : visits) {
    int64_t at = 0;
    add(cls, at, 0);
    for (const int32_t code : visit.diagnoses) add(code, ++at, 0);
    at = kMostPlaces;
    add(sep, at, 0);
    for (const int32_t code : visit.procedures) add(procedures + code, ++at, 1);
    lengths.push_back(static_cast<int64_t>(visit.diagnoses.size() + visit.procedures.size()) + 2);
    keys.push_back(visit.key);
  }
  const at::Tensor x = table.index_select(0, LongTensor(tokens)) +
                       places.index_select(0, LongTensor(place)) +
                       (*this)["segment_embedding.weight"].index_select(0, LongTensor(segments));
  return FirstOutputs("transformer_visit", ShapeOf(options_), parameters(), x, lengths, keys,
                      dropout_seed);
}

at::Tensor Raremed::Loss(const Corpus& corpus, const std::vector<int32_t>& visits,
                         uint64_t dropout_seed) const {
  std::vector<CodedVisit> coded;
  for (const int32_t visit : visits) coded.push_back(CodesOf(corpus, visit));
  const at::Tensor logits = Linear("cls_final", Encode(coded, dropout_seed));
  const at::Tensor p = at::sigmoid(logits);
  const DrugTargets targets = TargetsOf(corpus, visits);
  return (1 - options_.margin_weight) * CrossEntropy(logits, targets.given) +
         options_.margin_weight * MarginLoss(p, targets) +
         options_.ddi_weight * kDdiFactor * DdiSum(p, DdiMatrix(corpus.ddi));
}

at::Tensor Raremed::Vectors(const Corpus& corpus, const std::vector<int32_t>& visits) const {
  const c10::NoGradGuard no_grad;
  // Some at a time: memory.
  constexpr size_t kVisitsAtOnce = 128;
  std::vector<at::Tensor> parts;
  for (size_t begin = 0; begin < visits.size(); begin += kVisitsAtOnce) {
    std::vector<CodedVisit> coded;
    for (size_t i = begin; i < std::min(begin + kVisitsAtOnce, visits.size()); ++i) {
      coded.push_back(CodesOf(corpus, visits[i]));
    }
    parts.push_back(Encode(coded, 0));
  }
  return parts.empty() ? at::zeros({0, options_.dim}, at::kFloat) : at::cat(parts);
}

at::Tensor Raremed::Logits(const Corpus& corpus, const std::vector<int32_t>& visits) const {
  const c10::NoGradGuard no_grad;
  return Linear("cls_final", Vectors(corpus, visits));
}

at::Tensor Raremed::MatchingLoss(const Corpus& corpus, const std::vector<int32_t>& visits,
                                 const std::vector<int32_t>& pool, uint64_t seed) const {
  std::vector<CodedVisit> coded;
  for (const int32_t visit : visits) coded.push_back(CodesOf(corpus, visit));
  for (const int32_t visit : visits) {
    RandomStream random(seed, kPretraining, static_cast<uint32_t>(visit));
    CodedVisit own = CodesOf(corpus, visit);
    // Others may have the same procedures; a pool of one kind of visit has no other.
    CodedVisit other = own;
    for (int tries = 0; tries < 100 && other.procedures == own.procedures; ++tries) {
      other = CodesOf(corpus, pool[random.Below(pool.size())]);
    }
    (random.Bernoulli(0.5) ? own.procedures = other.procedures : own.diagnoses = other.diagnoses);
    own.key += static_cast<int64_t>(corpus.visits.size());
    coded.push_back(std::move(own));
  }
  const int64_t count = static_cast<int64_t>(visits.size());
  const at::Tensor logits = Linear("cls_nsp", Encode(coded, seed)).view({2, count});
  const at::Tensor belongs =
      at::cat({at::ones({1, count}, at::kFloat), at::zeros({1, count}, at::kFloat)});
  return at::binary_cross_entropy_with_logits(logits, belongs, {}, {}, at::Reduction::None).mean(0);
}

at::Tensor Raremed::ReconstructionLoss(const Corpus& corpus, const std::vector<int32_t>& visits,
                                       uint64_t seed) const {
  const int64_t procedures = counts_.diagnoses + 1, codes = procedures + counts_.procedures + 1;
  at::Tensor present = at::zeros({static_cast<int64_t>(visits.size()), codes}, at::kFloat);
  std::vector<CodedVisit> coded;
  for (size_t i = 0; i < visits.size(); ++i) {
    CodedVisit visit = CodesOf(corpus, visits[i]);
    float* row = present.mutable_data_ptr<float>() + static_cast<int64_t>(i) * codes;
    for (const int32_t code : visit.diagnoses) row[code] = 1;
    for (const int32_t code : visit.procedures) row[procedures + code] = 1;
    RandomStream random(seed, kPretraining, static_cast<uint32_t>(visits[i]));
    Hide(options_.mask_share, counts_.diagnoses, &random, &visit.diagnoses);
    Hide(options_.mask_share, counts_.procedures, &random, &visit.procedures);
    coded.push_back(std::move(visit));
  }
  return CrossEntropy(Linear("cls_mask", Encode(coded, seed)), present);
}

}  // namespace flame
