#include "launch/run/base_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/random.h"
#include "data/prompts/prompt.h"
#include "data/prompts/texts.h"
#include "encoders/entity_tables.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"
#include "launch/run/device.h"
#include "launch/run/slots.h"
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

// Returns the width of the visits' vectors. Those of a file are kept beside the base model.
int64_t VisitWidth(const Config& config, const Corpus& corpus, const SlotShape& shape) {
  if (!IsEncoderFile(shape.encoder)) return shape.dim;
  EntityTable table;
  for (const Visit& visit : corpus.visits) table.ids.push_back(std::to_string(visit.hadm));
  table.vectors = ReadVectors(shape.encoder, shape.name, table.ids);
  WriteEntities({{shape.name, table}}, RunPaths(config.run.dir).visit_vectors());
  return table.vectors.size(1);
}

// Returns the vectors of a kind's slots: those of an encoder that the run trains are 0 until then,
// and visits have none yet.
at::Tensor VectorsOf(const Config& config, const Corpus& corpus, const SlotShape& shape) {
  if (shape.of_visits()) return at::zeros({0, VisitWidth(config, corpus, shape)}, at::kFloat);
  if (shape.encoder == "random") {
    return RandomEmbeddings(shape.count, shape.dim, config.run.seed,
                            static_cast<uint32_t>(shape.kind));
  }
  if (!IsEncoderFile(shape.encoder)) return at::zeros({shape.count, shape.dim}, at::kFloat);
  const Vocabulary& vocabulary = shape.kind == EntityKind::kDiagnosis   ? corpus.diagnoses
                                 : shape.kind == EntityKind::kProcedure ? corpus.procedures
                                                                        : corpus.drugs;
  const at::Tensor vectors = ReadVectors(shape.encoder, shape.name, vocabulary.codes);
  return vectors / RootMeanSquare(vectors);
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

// Throws DataError if the prompts have no place for the patient's slot.
void CheckPatient(const Config& config, const Corpus& corpus) {
  if (config.encoders.patient == "none") return;
  EntityTokens tokens;
  tokens.visit = 0;
  const PromptTexts texts(PromptFile(config), corpus, tokens);
}

std::vector<std::string> TokensOf(const SlotShape& shape) {
  if (shape.of_visits()) return {kVisitToken};
  std::vector<std::string> names;
  for (int32_t i = 0; i < shape.count; ++i) names.push_back(EntityToken(shape.kind, i));
  return names;
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
  for (const SlotShape& shape :
       SlotShapes(config, CountsOfEntities(corpus), policy->config().d_model)) {
    EntitySlots slot;
    slot.kind = shape.name;
    slot.first_token = tokenizer->AddSpecialTokens(TokensOf(shape));
    slot.collab = VectorsOf(config, corpus, shape);
    slot.hidden = shape.hidden;
    slot.borrowed = shape.of_visits();
    slots.push_back(std::move(slot));
  }
  if (!slots.empty()) policy->AddEntities(slots, config.run.seed);
}

}  // namespace

bool SlotShape::of_visits() const { return name == kVisitKind; }

EntityCounts CountsOfEntities(const Corpus& corpus) {
  return {corpus.diagnoses.size(), corpus.procedures.size(), corpus.drugs.size(),
          static_cast<int64_t>(corpus.visits.size())};
}

std::vector<SlotShape> SlotShapes(const Config& config, const EntityCounts& counts,
                                  int64_t d_model) {
  const EncoderOptions& encoders = config.encoders;
  const auto width = [&](const std::string& encoder) {
    return encoder == "micron" ? config.micron.dim : 64;
  };
  const int64_t drug_width = encoders.drug == "molecule" ? config.molecule.dim : 300;
  // Widths as docs/method.md has them, Hybrid representations.
  std::vector<SlotShape> all = {
      {"diagnosis", encoders.diagnosis, counts.diagnoses, width(encoders.diagnosis), 512,
       EntityKind::kDiagnosis},
      {"procedure", encoders.procedure, counts.procedures, width(encoders.procedure), 512,
       EntityKind::kProcedure},
      {"drug", encoders.drug, counts.drugs, drug_width, 1024, EntityKind::kDrug},
      {kVisitKind, encoders.patient, counts.visits, config.raremed.dim, 1024}};
  std::erase_if(all, [](const SlotShape& shape) { return shape.encoder == "none"; });
  // A small model would have more numbers in its projectors than in its blocks.
  for (SlotShape& shape : all) shape.hidden = std::min(shape.hidden, 4 * d_model);
  return all;
}

void WriteBaseModel(const Config& config, const Corpus& corpus, const fs::path& folder) {
  const AtomicPath scratch(folder.string() + ".tokenizer", AtomicPath::Kind::kFolder);
  CheckPatient(config, corpus);
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

Policy OpenModel(const Config& config, const Corpus& corpus, const fs::path& folder) {
  Policy policy = OpenOnHost(config, folder);
  policy.MoveTo(OpenDevice(config.model.device));
  FillVisits(config, corpus, &policy);
  return policy;
}

Policy LoadModel(const Config& config, const Corpus& corpus, const fs::path& folder) {
  Policy policy = OpenModel(config, corpus, folder);
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
