#include "launch/run/base_model.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/random.h"
#include "data/prompts/prompt.h"
#include "encoders/entity_tables.h"
#include "launch/config/stage_inputs.h"
#include "launch/run/device.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "model/shapes.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

at::Tensor RandomEmbeddings(int64_t count, int64_t dim, uint64_t seed, uint32_t kind) {
  at::Tensor values = at::empty({count, dim}, at::kFloat);
  float* out = values.data_ptr<float>();
  RandomStream stream(seed, kEntities, kind);
  for (int64_t i = 0; i < count * dim; ++i) out[i] = static_cast<float>(stream.Normal());
  return values;
}

// Returns the vectors of a kind's slots: those of an encoder that the run trains are 0 until then.
at::Tensor VectorsOf(const Config& config, const Corpus& corpus, const SlotShape& shape) {
  if (shape.encoder == "random") {
    return RandomEmbeddings(shape.count, shape.dim, config.run.seed,
                            static_cast<uint32_t>(shape.kind));
  }
  if (!IsEncoderFile(shape.encoder)) return at::zeros({shape.count, shape.dim}, at::kFloat);
  const Vocabulary& vocabulary = shape.kind == EntityKind::kDiagnosis   ? corpus.diagnoses
                                 : shape.kind == EntityKind::kProcedure ? corpus.procedures
                                                                        : corpus.drugs;
  return ReadVectors(shape.encoder, shape.name, vocabulary.codes);
}

// Returns the pretrained model's tokenizer, or trains one on every prompt that the corpus can
// produce.
Tokenizer StartingTokenizer(const Config& config, const Corpus& corpus, const fs::path& scratch) {
  if (!config.model.path.empty()) return Tokenizer::Load(config.model.path / "tokenizer.json");
  const fs::path trained = scratch / "tokenizer.json";
  TrainTokenizer(PromptBuilder::CorpusTexts(PromptFile(config), corpus),
                 static_cast<int32_t>(config.model.vocab_size), trained);
  return Tokenizer::Load(trained);
}

Policy OpenOnHost(const Config& config, const fs::path& folder) {
  return OpenPolicy(folder, DtypeOf(config.model.dtype), QuantizationOf(config.model.quantize));
}

Policy StartingPolicy(const Config& config, const Tokenizer& tokenizer) {
  if (!config.model.path.empty()) return OpenOnHost(config, config.model.path);
  PolicyConfig preset = PolicyPreset(config.model.preset, tokenizer.size());
  preset.bos_id = tokenizer.bos_id();
  if (tokenizer.eos_id() >= 0) preset.end_ids = {tokenizer.eos_id()};
  return Policy::Random(preset, DtypeOf(config.model.dtype), config.run.seed);
}

// Adds the entity slots behind the embedding table's rows. If the table has more rows than the
// tokenizer has tokens, unused tokens fill the gap.
void AddSlots(const Config& config, const Corpus& corpus, Tokenizer* tokenizer, Policy* policy) {
  std::vector<std::string> fill;
  for (int64_t id = tokenizer->size(); id < policy->config().vocab_size; ++id) {
    fill.push_back(StrCat("<|unused-", id, "|>"));
  }
  if (!fill.empty()) tokenizer->AddSpecialTokens(fill);
  std::vector<EntitySlots> slots;
  const EntityCounts counts = {corpus.diagnoses.size(), corpus.procedures.size(),
                               corpus.drugs.size()};
  for (const SlotShape& shape : SlotShapes(config, counts, policy->config().d_model)) {
    std::vector<std::string> names;
    for (int32_t i = 0; i < shape.count; ++i) names.push_back(EntityToken(shape.kind, i));
    EntitySlots slot;
    slot.kind = shape.name;
    slot.first_token = tokenizer->AddSpecialTokens(names);
    slot.collab = VectorsOf(config, corpus, shape);
    slot.hidden = shape.hidden;
    slots.push_back(std::move(slot));
  }
  if (!slots.empty()) policy->AddEntities(slots, config.run.seed);
}

}  // namespace

std::vector<SlotShape> SlotShapes(const Config& config, const EntityCounts& counts,
                                  int64_t d_model) {
  const EncoderOptions& encoders = config.encoders;
  const auto width = [&](const std::string& encoder) {
    return encoder == "micron" ? config.micron.dim : 64;
  };
  // Widths as docs/method.md has them, Hybrid representations.
  std::vector<SlotShape> all = {{EntityKind::kDiagnosis, "diagnosis", encoders.diagnosis,
                                 counts.diagnoses, width(encoders.diagnosis), 512},
                                {EntityKind::kProcedure, "procedure", encoders.procedure,
                                 counts.procedures, width(encoders.procedure), 512},
                                {EntityKind::kDrug, "drug", encoders.drug, counts.drugs,
                                 encoders.drug == "molecule" ? config.molecule.dim : 300, 1024}};
  std::erase_if(all, [](const SlotShape& shape) { return shape.encoder == "none"; });
  // A small model would have more numbers in its projectors than in its blocks.
  for (SlotShape& shape : all) shape.hidden = std::min(shape.hidden, 4 * d_model);
  return all;
}

void WriteBaseModel(const Config& config, const Corpus& corpus, const fs::path& folder) {
  const AtomicPath scratch(folder.string() + ".tokenizer", AtomicPath::Kind::kFolder);
  Tokenizer tokenizer = StartingTokenizer(config, corpus, scratch.temporary());
  Policy policy = StartingPolicy(config, tokenizer);
  if (tokenizer.size() > policy.config().vocab_size) {
    throw DataError((config.model.path / "tokenizer.json").string(), " has ", tokenizer.size(),
                    " tokens, the table of ", config.model.path.string(), " ",
                    policy.config().vocab_size, " rows; expected at most as many tokens as rows");
  }
  // Lists are trained to end in this token.
  policy.EndWith(tokenizer.eos_id());
  AddSlots(config, corpus, &tokenizer, &policy);
  SaveModel(policy, tokenizer, folder);
}

Policy OpenModel(const Config& config, const fs::path& folder) {
  Policy policy = OpenOnHost(config, folder);
  policy.MoveTo(OpenDevice(config.model.device));
  return policy;
}

Policy LoadModel(const Config& config, const fs::path& folder) {
  Policy policy = OpenModel(config, folder);
  policy.ReadStored();
  return policy;
}

void SaveModel(const Policy& policy, const Tokenizer& tokenizer, const fs::path& folder,
               bool writes) {
  if (!writes) return JoinSavePolicy(policy);
  SavePolicy(policy, folder);
  tokenizer.Save(folder);
}

}  // namespace flame
