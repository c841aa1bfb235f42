#include "launch/export/peft.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/safetensors.h"
#include "data/prompts/entity_tokens.h"
#include "launch/config/config.h"
#include "launch/config/run_paths.h"
#include "launch/export/export.h"
#include "launch/export/logit_probe.h"
#include "launch/export/manifest.h"
#include "launch/export/model_card.h"
#include "model/files/adapter_config.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The two factors of one map, with the scale in `b`. Undefined: the map has no adapter.
struct Factors {
  at::Tensor a, b;  // [rank, in], [out, rank], float32
};
using AdapterOf = std::map<std::string, Factors>;  // by the map's name

// The adapters of a folder. The policy's weights stay in their files.
AdapterOf ReadAdapters(const fs::path& folder, LoraOptions* lora) {
  const Policy policy = OpenPolicy(folder, at::kFloat);
  *lora = policy.parts().lora;
  const double scale = lora->alpha / static_cast<double>(lora->rank);
  AdapterOf adapters;
  for (const auto& [name, value] : policy.parts().parameters) {
    const size_t a = name.find(".lora_A."), b = name.find(".lora_B.");
    if (a != std::string::npos) adapters[name.substr(0, a)].a = value.to(at::kFloat);
    if (b != std::string::npos) adapters[name.substr(0, b)].b = value.to(at::kFloat) * scale;
  }
  return adapters;
}

// Zero factors of this rank for a map that has others.
Factors ZerosLike(const Factors& other, int64_t rank) {
  return {at::zeros({rank, other.a.size(1)}), at::zeros({other.b.size(0), rank})};
}

// The sum of two adapters, as one whose rank is the sum of theirs.
AdapterOf Stacked(const AdapterOf& first, int64_t first_rank, const AdapterOf& second,
                  int64_t second_rank) {
  AdapterOf sum;
  std::set<std::string> names;
  for (const auto* adapters : {&first, &second}) {
    for (const auto& [name, factors] : *adapters) names.insert(name);
  }
  for (const std::string& name : names) {
    const auto one = first.find(name), two = second.find(name);
    const Factors a = one != first.end() ? one->second : ZerosLike(two->second, first_rank);
    const Factors b = two != second.end() ? two->second : ZerosLike(one->second, second_rank);
    sum[name] = {at::cat({a.a, b.a}, 0).contiguous(), at::cat({a.b, b.b}, 1).contiguous()};
  }
  return sum;
}

std::string LastPart(const std::string& name) { return name.substr(name.rfind('.') + 1); }

void WriteAdapter(const AdapterOf& adapter, int64_t rank, const std::string& base,
                  const fs::path& folder) {
  LoraOptions lora;
  lora.rank = rank;
  lora.alpha = static_cast<double>(rank);
  lora.dropout = 0;
  std::set<std::string> targets;
  std::map<std::string, TensorView> views;
  for (const auto& [name, factors] : adapter) {
    targets.insert(LastPart(name));
    for (const auto& [part, value] :
         {std::pair(".lora_A.weight", factors.a), std::pair(".lora_B.weight", factors.b)}) {
      views["base_model.model." + name + part] = {"F32", value.sizes().vec(),
                                                  value.const_data_ptr(), value.nbytes()};
    }
  }
  lora.targets = {targets.begin(), targets.end()};
  json config = AdapterConfigJson(lora);
  config["base_model_name_or_path"] = base;
  WriteFileAtomically(folder / "adapter_config.json", config.dump(2) + "\n");
  WriteSafetensors(folder / "adapter_model.safetensors", views, {{"format", "pt"}});
}

// Gives `to` the files of `from` whose names begin with one of `names`.
void LinkFiles(const fs::path& from, const std::vector<std::string>& names, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string file = entry.path().filename().string();
    for (const std::string& name : names) {
      if (file.starts_with(name)) fs::create_symlink(fs::absolute(entry.path()), to / file);
    }
  }
}

// Writes the run's starting model with the slots that SFT trained as rows of its embedding table.
void WriteBaseWithRows(const RunPaths& paths, const fs::path& folder) {
  const AtomicPath scratch(folder.string() + ".slots", AtomicPath::Kind::kFolder);
  LinkFiles(paths.base(), {"config.json", "model"}, scratch.temporary());
  LinkFiles(paths.list(), {"entities"}, scratch.temporary());
  const Tokenizer tokenizer = Tokenizer::Load(paths.list() / "tokenizer.json");
  Policy policy = OpenPolicy(scratch.temporary(), at::kFloat);
  policy.EndWith(tokenizer.eos_id());
  policy.DropBorrowed();
  if (!policy.entities().empty()) policy = policy.MaterializeEntities();
  policy.SilenceTokens(SlotIds(tokenizer));
  SavePolicy(policy, folder);
  tokenizer.Save(folder);
  WriteGenerationConfig(policy.config(), SlotIds(tokenizer), folder);
}

// The largest difference of a logit between the run's policy and base with adapter. Tokens are
// below `vocab_size`, that of the pretrained model; the slots are behind it.
double LogitDifference(const fs::path& trained, const fs::path& base, const fs::path& adapter,
                       int64_t vocab_size, bool slots) {
  std::vector<int32_t> first_slot;
  if (slots) first_slot = {static_cast<int32_t>(vocab_size)};
  const LogitProbe probe = ProbeOf(vocab_size, first_slot);
  const at::Tensor before = ProbedLogits(LoadPolicy(trained, at::kFloat), probe);
  Policy policy = LoadPolicy(base, at::kFloat);
  LoadPeftAdapters(adapter, &policy);
  return (ProbedLogits(policy, probe) - before).abs().max().item<double>();
}

}  // namespace

PeftReport ExportPeft(const PeftRequest& request) {
  ExpectNewFolder(request.out);
  const at::NoGradGuard no_grad;
  const RunPaths paths(request.run);
  const Config config = LoadConfig(paths.config(), {StrCat("run.dir=", request.run.string())});
  if (config.model.trainable != "lora") {
    throw UsageError("--peft: the run trains all weights (model.trainable is ",
                     config.model.trainable, "); expected lora, or --out in place of --peft");
  }
  const bool rows = request.slots == "rows";
  if (!rows && config.model.path.empty()) {
    throw UsageError("--peft: the run starts from random weights (model.path is empty), which ",
                     "nobody else has; expected --slots rows, which writes them too");
  }
  LoraOptions sft, grpo;
  const AdapterOf first = ReadAdapters(paths.list(), &sft);
  const AdapterOf second = ReadAdapters(paths.grpo(), &grpo);
  AtomicPath folder(request.out, AtomicPath::Kind::kFolder);
  const fs::path& made = folder.temporary();
  PeftReport report;
  report.rank = sft.rank + grpo.rank;
  if (rows) WriteBaseWithRows(paths, made / "base");
  WriteAdapter(Stacked(first, sft.rank, second, grpo.rank), report.rank,
               rows ? "base" : config.model.path.string(), made);
  const Policy start = OpenPolicy(paths.base(), at::kFloat);
  report.logit_difference =
      LogitDifference(paths.grpo(), rows ? made / "base" : config.model.path, made,
                      start.config().vocab_size, rows && !start.entities().empty());

  report.patient_slot = Tokenizer::Load(paths.list() / "tokenizer.json").IdOf(kVisitToken) >= 0;
  CardFacts card{config.model.path, "float32", CurrentEvaluation(config)};
  card.adapter = true;
  card.patient_slot = report.patient_slot;
  WriteFileAtomically(made / "README.md", ModelCard(card));
  WriteManifest(made, {{"dtype", "float32"},
                       {"logit_difference", report.logit_difference},
                       {"config", ReadWholeFile(paths.config())}});
  folder.Commit();
  return report;
}

}  // namespace flame
