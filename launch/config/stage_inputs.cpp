#include "launch/config/stage_inputs.h"

#include <filesystem>

#include "base/error.h"
#include "base/files/program_files.h"
#include "data/hospitals/layouts.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_keys.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

void ExpectFolder(const char* key, const fs::path& folder) {
  if (fs::is_directory(folder)) return;
  throw DataError(key, ": '", folder.string(), "' is not a folder; expected one");
}

void ExpectFile(const char* key, const fs::path& file) {
  if (fs::is_regular_file(file)) return;
  throw DataError(key, ": there is no file ", file.string());
}

}  // namespace

fs::path PromptFile(const Config& config) {
  const fs::path& file = config.prompts.file;
  if (file.empty()) return ShareFolder() / "configs" / "prompts.yaml";
  // A relative path such as configs/prompts.yaml also finds the program's own file.
  return fs::exists(file) ? file : ShareFolder() / file;
}

std::string StageSettings(const Config& config, const std::string& stage) {
  std::vector<std::string> keys = ResultKeys(stage);
  EncoderOptions slots = config.encoders;
  if (stage == "prepare") slots.train.clear();  // the base model has the slots' widths
  for (const char* encoder : {"micron", "molecule", "raremed"}) {
    if (slots.Trains(encoder)) continue;
    std::erase_if(
        keys, [&](const std::string& key) { return key.starts_with(std::string(encoder) + "."); });
  }
  return config.Canonical(keys);
}

bool MakesHospital(const Config& config) {
  return config.data.hospital == "synth" && config.data.root.empty();
}

DataOptions DataOf(const Config& config) {
  DataOptions data = config.data;
  if (MakesHospital(config)) {
    data.root = RunPaths(config.run.dir).hospital();
    data.mappings = data.root / "mappings";
  }
  return data;
}

fs::path SmilesFile(const Config& config) {
  return config.molecule.smiles.empty() ? MappingsFolder(DataOf(config)) / "drugbank_to_smiles.csv"
                                        : config.molecule.smiles;
}

std::vector<std::pair<std::string, fs::path>> EncoderFiles(const Config& config) {
  std::vector<std::pair<std::string, fs::path>> files;
  for (const auto& [encoder, weights] : {std::pair("micron", config.micron.weights),
                                         {"raremed", config.raremed.weights},
                                         {"molecule", config.molecule.weights}}) {
    if (config.encoders.Trains(encoder) && !weights.empty()) {
      files.emplace_back(StrCat(encoder, ".weights"), weights);
    }
  }
  if (config.encoders.Trains("molecule")) files.emplace_back("molecule.smiles", SmilesFile(config));
  return files;
}

void CheckInputs(const Config& config) {
  ExpectFile("prompts.file", PromptFile(config));
  if (config.data.hospital == "records") {
    ExpectFile("data.root", config.data.root);
    if (!config.data.mappings.empty()) ExpectFolder("data.mappings", config.data.mappings);
  } else if (!MakesHospital(config)) {
    ExpectFolder("data.root", config.data.root);
    ExpectFolder("data.mappings", config.data.mappings);
  }
  if (!config.data.drug_mapping.empty()) ExpectFile("data.drug_mapping", config.data.drug_mapping);
  if (!config.model.path.empty()) ExpectFolder("model.path", config.model.path);
  for (const EncoderKey& key : EncoderKeys(config.encoders)) {
    if (!IsEncoderFile(key.encoder) || fs::is_regular_file(key.encoder)) continue;
    throw DataError(key.key, ": there is no file ", key.encoder, "; expected ", key.Expected());
  }
  if (config.encoders.Trains("molecule") && config.molecule.smiles.empty() &&
      config.data.hospital == "records" && config.data.mappings.empty()) {
    throw DataError("encoders.drug is molecule, and there is no table of structures; expected ",
                    "molecule.smiles, or data.mappings with drugbank_to_smiles.csv");
  }
  for (const auto& [key, file] : EncoderFiles(config)) {
    const bool made = key == "molecule.smiles" && config.molecule.smiles.empty();
    if (!made || !MakesHospital(config)) ExpectFile(key.c_str(), file);
  }
  if (!config.tasks.feedback.empty()) ExpectFile("tasks.feedback", config.tasks.feedback);
}

}  // namespace flame
