#include "launch/config/input_digests.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "data/hospitals/layouts.h"
#include "data/tables/csv_table.h"
#include "launch/config/stage_inputs.h"

namespace flame {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Digests of files, kept between runs of the program with the size and time of each.
class DigestCache {
 public:
  explicit DigestCache(const fs::path& run_dir) : path_(run_dir / ".stages" / "input-digests") {
    if (!fs::exists(path_)) return;
    known_ = json::parse(ReadWholeFile(path_), nullptr, /*allow_exceptions=*/false);
    if (!known_.is_object()) known_ = json::object();
  }

  std::string Of(const fs::path& file) {
    const std::string name = fs::weakly_canonical(file).string();
    const auto written = fs::last_write_time(file);
    const json stamp = {fs::file_size(file), written.time_since_epoch().count()};
    const json known = known_.value(name, json());
    if (known.is_object() && known.value("stamp", json()) == stamp) return known.at("sha256");
    const std::string digest = Sha256OfFile(file);
    // A file that was written just now may change again without another size or time.
    if (fs::file_time_type::clock::now() - written > std::chrono::seconds(2)) {
      known_[name] = {{"stamp", stamp}, {"sha256", digest}};
      changed_ = true;
    }
    return digest;
  }

  void Save() const {
    if (changed_) WriteFileAtomically(path_, known_.dump(1) + "\n");
  }

 private:
  fs::path path_;
  json known_ = json::object();
  bool changed_ = false;
};

// A file and what it is read as, which is part of the identity in place of its path.
struct InputFile {
  std::string role;
  fs::path path;
};
using InputFiles = std::vector<InputFile>;

InputFiles Tables(const fs::path& root, const std::vector<TableFile>& tables) {
  InputFiles files;
  for (const TableFile& table : tables) {
    const fs::path path = CsvTable::Find(root / table.folder, table.stem);
    if (!path.empty()) files.push_back({table.stem, path});
  }
  return files;
}

std::vector<TableFile> InOneFolder(const std::vector<std::string>& stems) {
  std::vector<TableFile> tables;
  for (const std::string& stem : stems) tables.push_back({"", stem});
  return tables;
}

// The files of a model folder that Policy and Tokenizer read, by name.
InputFiles ModelFiles(const fs::path& folder) {
  const auto is_read = [](const std::string& name) {
    const std::vector<std::string> names = {
        "config.json",       "generation_config.json",      "tokenizer.json",
        "encoder.json",      "tokenizer_config.json",       "vocab.bpe",
        "entities.json",     "special_tokens_map.json",     "adapter_config.json",
        "quantization.json", "model.safetensors.index.json"};
    return name.ends_with(".safetensors") ||
           std::find(names.begin(), names.end(), name) != names.end();
  };
  InputFiles files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && is_read(name)) files.push_back({name, entry.path()});
  }
  std::sort(files.begin(), files.end(),
            [](const InputFile& a, const InputFile& b) { return a.role < b.role; });
  return files;
}

InputFiles OneFile(const fs::path& path) {
  return fs::is_regular_file(path) ? InputFiles{{"", path}} : InputFiles();
}

// The files that a key names, or its value if it names none.
struct Input {
  InputFiles files;
  std::string value;
};

Input EncoderInput(const std::string& encoder) {
  if (!IsEncoderFile(encoder)) return {{}, encoder};
  InputFiles files = OneFile(encoder);
  for (const InputFile& ids : OneFile(IdsFile(encoder))) files.push_back({"ids", ids.path});
  return {files, ""};
}

// The record file and the mappings that name what it does not; its harmful pairs are in it.
std::map<std::string, Input> RecordInputs(const DataOptions& data) {
  std::map<std::string, Input> inputs;
  inputs["data.root"].files = OneFile(data.root);
  inputs["data.mappings"].value = "none";
  if (!data.mappings.empty()) {
    inputs["data.mappings"].files = Tables(
        data.mappings, InOneFolder({"drugbank_to_name", "icd9_diagnoses", "icd9_procedures"}));
  }
  inputs["data.ddi"].value = "in the file";
  return inputs;
}

// The tables of data.mappings that are read. A user's own drugs take the place of DrugBank's.
std::vector<std::string> MappingsRead(const Layout& layout, const DataOptions& data) {
  std::vector<std::string> stems = layout.mappings;
  if (data.drug_mapping.empty()) return stems;
  std::erase_if(stems, [](const std::string& stem) {
    return stem == "ndc9_to_drugbank" || stem == "drugbank_to_name" || stem == "drugbank_to_smiles";
  });
  return stems;
}

std::map<std::string, Input> InputsOf(const Config& config, const std::string& stage) {
  std::map<std::string, Input> inputs;
  if (stage == "encode") {
    for (const auto& [key, file] : EncoderFiles(config)) inputs[key].files = OneFile(file);
    return inputs;
  }
  if (config.data.hospital == "records") {
    inputs = RecordInputs(config.data);
  } else if (MakesHospital(config)) {
    for (const char* key : {"data.root", "data.mappings", "data.ddi", "data.drug_synonyms"}) {
      inputs[key].value = "made";
    }
  } else {
    const DataOptions& data = config.data;
    const fs::path mappings = MappingsFolder(data);
    const Layout& layout = LayoutOf(data.hospital);
    inputs["data.root"].files = Tables(data.root, layout.tables);
    inputs["data.mappings"].files = Tables(mappings, InOneFolder(MappingsRead(layout, data)));
    if (layout.names_drugs && data.drug_mapping.empty()) {
      inputs["data.drug_synonyms"].files = OneFile(SynonymsFile(data));
    }
    inputs["data.ddi"].files = OneFile(mappings / data.ddi);
  }
  if (config.data.drug_mapping.empty()) {
    inputs["data.drug_mapping"].value = "none";
  } else {
    inputs["data.drug_mapping"].files = OneFile(config.data.drug_mapping);
  }
  if (config.model.path.empty()) {
    inputs["model.path"].value = "preset";
  } else {
    inputs["model.path"].files = ModelFiles(config.model.path);
  }
  for (const EncoderKey& key : EncoderKeys(config.encoders)) {
    inputs[key.key] = EncoderInput(key.encoder);
  }
  inputs["prompts.file"].files = OneFile(PromptFile(config));
  return inputs;
}

// "prepared-inputs", "encoded-inputs".
fs::path KeptDigests(const Config& config, const std::string& stage) {
  return fs::path(config.run.dir) / ".stages" / (stage + "d-inputs");
}

std::map<std::string, std::string> DigestsOf(const Config& config, const std::string& stage,
                                             DigestCache* cache) {
  std::map<std::string, std::string> digests;
  for (const auto& [key, input] : InputsOf(config, stage)) {
    std::string lines;
    for (const InputFile& file : input.files)
      lines += file.role + " " + cache->Of(file.path) + "\n";
    digests[key] = lines.empty() ? input.value : Sha256(lines);
  }
  return digests;
}

}  // namespace

std::map<std::string, std::string> InputDigests(const Config& config, const std::string& stage) {
  DigestCache cache(config.run.dir);
  return DigestsOf(config, stage, &cache);
}

std::string InputPaths(const Config& config, const std::string& stage) {
  if (stage == "tasks" && !config.tasks.feedback.empty()) {
    return fs::weakly_canonical(config.tasks.feedback).string();
  }
  if (stage != "prepare" && stage != "encode") return "";
  std::string text;
  for (const auto& [key, input] : InputsOf(config, stage)) {
    text += key + " " + input.value + "\n";
    for (const InputFile& file : input.files) {
      text += fs::weakly_canonical(file.path).string() + "\n";
    }
  }
  return text;
}

void KeepInputDigests(const Config& config, const std::string& stage) {
  DigestCache cache(config.run.dir);
  const std::string kept = json(DigestsOf(config, stage, &cache)).dump(1) + "\n";
  const fs::path path = KeptDigests(config, stage);
  if (!fs::exists(path) || ReadWholeFile(path) != kept) WriteFileAtomically(path, kept);
  cache.Save();
}

void CheckInputsUnchanged(const Config& config, const std::string& stage) {
  const fs::path path = KeptDigests(config, stage);
  if (!fs::exists(path)) return;
  const json kept = json::parse(ReadWholeFile(path), nullptr, /*allow_exceptions=*/false);
  if (!kept.is_object()) throw DataError(path.string(), ": not JSON; remove it");
  for (const auto& [key, digest] : InputDigests(config, stage)) {
    if (digest.empty() || kept.value(key, digest) == digest) continue;
    throw DataError(
        key, " names other contents than stage ", stage, " in ", config.run.dir.string(),
        " was made from; expected the same. `flame pipeline` makes again what they ", "change");
  }
}

}  // namespace flame
