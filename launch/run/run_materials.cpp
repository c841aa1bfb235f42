#include "launch/run/run_materials.h"

#include "data/feedback.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"
#include "model/files/policy_config.h"

namespace flame {

namespace fs = std::filesystem;

std::unique_ptr<Materials> MaterialsOfRun(const Config& config) {
  const RunPaths paths(config.run.dir);
  return MaterialsOfRun(config, ReadCorpus(paths.corpus()));
}

std::unique_ptr<Materials> MaterialsOfRun(const Config& config, Corpus corpus, bool patient_slot) {
  return LoadMaterials(std::move(corpus), RunPaths(config.run.dir).base() / "tokenizer.json",
                       PromptFile(config), patient_slot);
}

int64_t MaxPositions(const Config& config) {
  return ReadPolicyConfig(RunPaths(config.run.dir).base() / "config.json").max_positions;
}

Corpus TruthsOfRun(const Config& config, const Corpus& corpus) {
  const fs::path file = RunPaths(config.run.dir).feedback();
  return fs::exists(file) ? WithFeedback(corpus, ReadFeedback(file, corpus)) : corpus;
}

}  // namespace flame
