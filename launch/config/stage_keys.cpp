#include "launch/config/stage_keys.h"

#include <algorithm>
#include <map>

#include "launch/config/config.h"

namespace flame {
namespace {

using Keys = std::vector<std::string>;

// Whole sections or single keys.
const std::map<std::string, Keys>& InputsOfStages() {
  static const std::map<std::string, Keys> inputs = {
      {"prepare",
       {"data", "prompts", "model.path", "model.preset", "model.dtype", "model.quantize",
        "model.vocab_size", "micron.dim", "molecule.dim", "raremed.dim", "run.seed"}},
      {"encode", {"encoders.train", "micron", "raremed", "molecule", "run.seed"}},
      {"classifier", {"classifier", "tasks.errors", "tasks.holdout", "model", "run.seed"}},
      {"tasks", {"tasks", "run.seed"}},
      {"list", {"list", "tasks.list_order", "model", "run.seed"}},
      {"grpo", {"grpo", "reward", "credit", "model.dtype", "model.quantize", "run.seed"}},
      {"evaluate",
       {"evaluate", "grpo.constrain", "grpo.max_tokens", "tasks.list_order", "run.seed"}}};
  return inputs;
}

bool Covers(const std::string& section, const std::string& key) {
  return key == section || key.starts_with(section + ".");
}

bool CoveredBySome(const Keys& sections, const std::string& key) {
  return std::any_of(sections.begin(), sections.end(),
                     [&](const std::string& section) { return Covers(section, key); });
}

}  // namespace

const Keys& StageNames() {
  static const Keys names = {"prepare", "encode", "classifier", "tasks",
                             "list",    "grpo",   "evaluate"};
  return names;
}

const Keys& KeysThatChangeNoResult() {
  static const Keys keys = [] {
    Keys all = {"cluster", "model.device", "model.recompute",
                "run.dir", "run.threads",  "grpo.keep_shards"};
    for (const std::string stage : {"classifier", "list", "grpo"}) {
      for (const char* key : {"checkpoint_every", "keep_best", "keep_last", "token_budget"}) {
        all.push_back(stage + "." + key);
      }
    }
    return all;
  }();
  return keys;
}

const Keys& KeysOfInputFiles() {
  static const Keys keys = {
      "data.ddi",           "data.drug_mapping",  "data.drug_synonyms", "data.mappings",
      "data.root",          "encoders.diagnosis", "encoders.drug",      "encoders.patient",
      "encoders.procedure", "micron.weights",     "model.path",         "molecule.smiles",
      "molecule.weights",   "prompts.file",       "raremed.weights",    "tasks.feedback"};
  return keys;
}

Keys ResultKeys(const std::string& stage) {
  Keys keys;
  for (const std::string& key : ConfigKeyNames()) {
    if (CoveredBySome(InputsOfStages().at(stage), key) &&
        !CoveredBySome(KeysThatChangeNoResult(), key) && !CoveredBySome(KeysOfInputFiles(), key)) {
      keys.push_back(key);
    }
  }
  return keys;
}

}  // namespace flame
