#include "launch/run/export.h"

#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/prompts/prompt.h"
#include "model/files/policy_config.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "recommend/calibrate.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Returns the ids of all entity slots in the tokenizer.
std::vector<int32_t> SlotIds(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (int kind = 0; kind < kNumEntityKinds; ++kind) {
    for (int32_t i = 0;; ++i) {
      const int32_t id = tokenizer.IdOf(EntityToken(static_cast<EntityKind>(kind), i));
      if (id < 0) break;
      ids.push_back(id);
    }
  }
  if (const int32_t visit = tokenizer.IdOf(kVisitToken); visit >= 0) ids.push_back(visit);
  return ids;
}

json GenerationConfig(const PolicyConfig& config, const std::vector<int32_t>& slots) {
  json generation = {{"do_sample", false}};
  if (config.bos_id >= 0) generation["bos_token_id"] = config.bos_id;
  if (!config.end_ids.empty()) generation["eos_token_id"] = EndIdsJson(config);
  if (!slots.empty()) generation["suppress_tokens"] = slots;
  return generation;
}

}  // namespace

void ExpectNewFolder(const fs::path& out) {
  if (fs::exists(out) && !(fs::is_directory(out) && fs::is_empty(out))) {
    throw UsageError(out.string(), " is there already; expected no such folder, or an empty one");
  }
}

bool ExportPolicy(const fs::path& model_dir, const fs::path& out) {
  ExpectNewFolder(out);
  const at::NoGradGuard no_grad;
  const Tokenizer tokenizer = Tokenizer::Load(model_dir / "tokenizer.json");
  Policy policy = LoadPolicy(model_dir, at::kFloat);
  policy.EndWith(tokenizer.eos_id());
  if (policy.has_adapters()) policy.MergeAdapters();
  policy.DropBorrowed();
  if (!policy.entities().empty()) policy = policy.MaterializeEntities();
  if (tokenizer.size() > policy.config().vocab_size) {
    throw DataError((model_dir / "tokenizer.json").string(), " has ", tokenizer.size(),
                    " tokens, the model's table ", policy.config().vocab_size, " rows");
  }
  AtomicPath folder(out, AtomicPath::Kind::kFolder);
  SavePolicy(policy, folder.temporary());
  tokenizer.Save(folder.temporary());
  WriteFileAtomically(folder.temporary() / "generation_config.json",
                      GenerationConfig(policy.config(), SlotIds(tokenizer)).dump(1) + "\n");
  if (fs::exists(model_dir / kThresholdFile)) {
    fs::copy_file(model_dir / kThresholdFile, folder.temporary() / kThresholdFile);
  }
  folder.Commit();
  return tokenizer.IdOf(kVisitToken) >= 0;
}

}  // namespace flame
