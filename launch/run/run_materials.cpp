#include "launch/run/run_materials.h"

#include "base/files/program_files.h"
#include "data/feedback.h"
#include "launch/run/run_paths.h"

namespace flame {

namespace fs = std::filesystem;

fs::path PromptFile(const Config& config) {
  const fs::path& file = config.prompts.file;
  if (file.empty()) return ShareFolder() / "configs" / "prompts.yaml";
  // A relative path such as configs/prompts.yaml also finds the program's own file.
  return fs::exists(file) ? file : ShareFolder() / file;
}

std::unique_ptr<Materials> MaterialsOfRun(const Config& config) {
  const RunPaths paths(config.run.dir);
  return LoadMaterials(paths.corpus(), paths.base() / "tokenizer.json", PromptFile(config));
}

Corpus TruthsOfRun(const Config& config, const Corpus& corpus) {
  const fs::path file = RunPaths(config.run.dir).feedback();
  return fs::exists(file) ? WithFeedback(corpus, ReadFeedback(file, corpus)) : corpus;
}

}  // namespace flame
