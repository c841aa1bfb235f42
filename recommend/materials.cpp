#include "recommend/materials.h"

#include "base/error.h"
#include "base/random.h"

namespace flame {
namespace {

// Finds the slots by their token names. A kind whose first token is missing has no slots. Throws
// DataError unless a kind's slots have consecutive ids, one per entity of the corpus.
EntityTokens FindEntities(const Tokenizer& tokenizer, const Corpus& corpus) {
  EntityTokens entities;
  const int32_t counts[kNumEntityKinds] = {corpus.diagnoses.num_slots(),
                                           corpus.procedures.num_slots(), corpus.drugs.num_slots()};
  for (int kind = 0; kind < kNumEntityKinds; ++kind) {
    const int32_t first = tokenizer.IdOf(EntityToken(static_cast<EntityKind>(kind), 0));
    if (first < 0) continue;
    const int32_t last =
        tokenizer.IdOf(EntityToken(static_cast<EntityKind>(kind), counts[kind] - 1));
    if (last != first + counts[kind] - 1) {
      throw DataError("base/tokenizer.json: expected slots ",
                      EntityToken(static_cast<EntityKind>(kind), 0), " to ",
                      EntityToken(static_cast<EntityKind>(kind), counts[kind] - 1),
                      " with consecutive ids, as corpus.h5 has ", counts[kind], " entities");
    }
    entities.first[kind] = first;
    entities.count[kind] = counts[kind];
  }
  entities.visit = tokenizer.IdOf(kVisitToken);
  return entities;
}

}  // namespace

std::unique_ptr<Materials> LoadMaterials(Corpus corpus, const std::filesystem::path& tokenizer,
                                         const std::filesystem::path& templates,
                                         bool patient_slot) {
  auto materials = std::unique_ptr<Materials>(
      new Materials{std::move(corpus), Tokenizer::Load(tokenizer), {}, nullptr});
  materials->entities = FindEntities(materials->tokenizer, materials->corpus);
  if (!patient_slot) materials->entities.visit = -1;
  materials->prompts = std::make_unique<PromptBuilder>(templates, materials->corpus,
                                                       materials->tokenizer, materials->entities);
  return materials;
}

std::optional<LineTrie> AllowedLines(const SamplingOptions& options, const Materials& materials) {
  if (options.constrain != "drugs") return std::nullopt;
  return DrugLines(*materials.prompts, materials.corpus.drugs.size());
}

TrainingVisits SplitTraining(const TaskOptions& options, const Corpus& corpus, uint64_t seed) {
  TrainingVisits split;
  for (const int32_t visit : corpus.VisitsOf(Split::kTrain)) {
    RandomStream stream(seed, kDataOrder, 0xffffffff, corpus.visits[visit].patient);
    const bool held_out = options.errors == "holdout" && stream.Uniform() < options.holdout;
    (held_out ? split.held_out : split.classifier).push_back(visit);
  }
  if (split.classifier.empty()) {
    throw DataError(
        "the corpus has no training visit left for the classifier; expected at least "
        "one with data.split and tasks.holdout as configured");
  }
  return split;
}

}  // namespace flame
