#include "launch/materials.h"

#include "base/error.h"
#include "base/random.h"
#include "data/feedback.h"
#include "launch/run/run_paths.h"

namespace flame {
namespace {

// Slots are the tokenizer's tokens by name; a kind without its first token has none.
EntityTokens FindEntities(const Tokenizer& tokenizer, const Corpus& corpus) {
  EntityTokens entities;
  const int32_t counts[kNumEntityKinds] = {corpus.diagnoses.size(), corpus.procedures.size(),
                                           corpus.drugs.size()};
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
  return entities;
}

}  // namespace

std::filesystem::path PromptFile(const Config& config) {
  if (!config.prompts.file.empty()) {
    // A path of the program's own configs works from any working folder.
    if (std::filesystem::exists(config.prompts.file)) return config.prompts.file;
    return std::filesystem::path(FLAME_SHARE_DIR) / config.prompts.file;
  }
  return std::filesystem::path(FLAME_SHARE_DIR) / "configs" / "prompts.yaml";
}

std::unique_ptr<Materials> LoadMaterials(const Config& config) {
  const RunPaths paths(config.run.dir);
  auto materials = std::unique_ptr<Materials>(new Materials{
      ReadCorpus(paths.corpus()), Tokenizer::Load(paths.base() / "tokenizer.json"), {}, nullptr});
  materials->entities = FindEntities(materials->tokenizer, materials->corpus);
  materials->prompts = std::make_unique<PromptBuilder>(PromptFile(config), materials->corpus,
                                                       materials->tokenizer, materials->entities);
  return materials;
}

Corpus TruthsOf(const Config& config, const Corpus& corpus) {
  const auto file = RunPaths(config.run.dir).feedback();
  if (!std::filesystem::exists(file)) return corpus;
  return WithFeedback(corpus, ReadFeedback(file, corpus));
}

TrainingVisits SplitTraining(const Config& config, const Corpus& corpus) {
  TrainingVisits split;
  for (const int32_t visit : corpus.VisitsOf(Split::kTrain)) {
    RandomStream stream(config.run.seed, kDataOrder, 0xffffffff, corpus.visits[visit].patient);
    const bool held_out =
        config.tasks.errors == "holdout" && stream.Uniform() < config.tasks.holdout;
    (held_out ? split.held_out : split.classifier).push_back(visit);
  }
  if (split.classifier.empty()) {
    throw DataError(RunPaths(config.run.dir).corpus().string(),
                    ": no training visit is left for the classifier; expected at least one with "
                    "data.split and tasks.holdout as configured");
  }
  return split;
}

}  // namespace flame
