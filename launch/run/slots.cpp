#include "launch/run/slots.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "encoders/entity_tables.h"
#include "encoders/raremed.h"
#include "launch/config/run_paths.h"

namespace flame {
namespace {

// Throws DataError unless `table` is that of the first visits of `corpus`.
void CheckVisits(const EntityTable& table, const Corpus& corpus, const std::string& file) {
  const size_t count = table.ids.size();
  bool same = count <= corpus.visits.size();
  for (size_t i = 0; same && i < count; ++i) {
    same = table.ids[i] == std::to_string(corpus.visits[i].hadm);
  }
  if (same) return;
  throw DataError(file, " has the vectors of ", count, " visits, which are not those of the ",
                  "corpus; expected one for each of its visits, in their order");
}

// Returns the vectors of the visits of `corpus` from number `first` on.
at::Tensor VectorsOfOthers(const Config& config, const Corpus& corpus, size_t first) {
  if (config.encoders.patient != "raremed") {
    throw DataError(
        "encoders.patient is the file ", config.encoders.patient, ", which has vectors ",
        "of the run's own visits alone; expected raremed, which reads visits of others");
  }
  std::vector<int32_t> visits(corpus.visits.size() - first);
  std::iota(visits.begin(), visits.end(), static_cast<int32_t>(first));
  const RunPaths paths(config.run.dir);
  return Raremed::Load(paths.encoder("raremed"), CountsOf(corpus), config.raremed)
      .Vectors(corpus, visits);
}

}  // namespace

double RootMeanSquare(const at::Tensor& vectors) {
  const double mean_square = vectors.square().mean().item<double>();
  return mean_square > 0 ? std::sqrt(mean_square) : 1;
}

void FillSlots(const Config& config, Policy* policy) {
  EntityTables tables;
  for (const auto& [kind, encoder] : {std::pair("diagnosis", config.encoders.diagnosis),
                                      {"procedure", config.encoders.procedure},
                                      {"drug", config.encoders.drug}}) {
    if (encoder != "micron" && encoder != "molecule") continue;
    if (tables.empty()) tables = ReadEntities(RunPaths(config.run.dir).entities());
    const at::Tensor& vectors = tables.at(kind).vectors;
    policy->SetCollab(kind, vectors / RootMeanSquare(vectors));
  }
}

void FillVisits(const Config& config, const Corpus& corpus, Policy* policy) {
  const std::vector<EntitySlots>& kinds = policy->entities();
  if (std::none_of(kinds.begin(), kinds.end(),
                   [](const EntitySlots& slots) { return slots.kind == kVisitKind; })) {
    return;
  }
  const RunPaths paths(config.run.dir);
  const auto file = config.encoders.patient == "raremed" ? paths.entities() : paths.visit_vectors();
  const EntityTable own = ReadEntities(file).at(kVisitKind);
  CheckVisits(own, corpus, file.string());
  at::Tensor vectors = own.vectors;
  if (own.ids.size() < corpus.visits.size()) {
    vectors = at::cat({vectors, VectorsOfOthers(config, corpus, own.ids.size())});
  }
  policy->SetCollab(kVisitKind, vectors / RootMeanSquare(own.vectors));
}

}  // namespace flame
