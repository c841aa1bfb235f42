// A Llama-like language model that computes over packed families (model/family.h).
#ifndef FLAME_MODEL_POLICY_H_
#define FLAME_MODEL_POLICY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/entity_slots.h"
#include "model/family.h"
#include "model/files/stored_rows.h"
#include "model/kernels/quantized.h"
#include "model/options.h"

namespace flame {

class ParameterUnits;
struct BlockContext;
struct BlockParameters;

struct ForwardOptions {
  bool adapters = true;  // false: computes the reference policy
  // LoRA dropout, in training only: masks are Philox numbers of (dropout_seed, layer, map, the
  // row's FamilyBatch::mask_rows). 0: no dropout.
  uint64_t dropout_seed = 0;
  bool recompute = false;
};

// Parameters are named as in transformers, whatever the architecture
// ("model.layers.0.self_attn.q_proj.weight", "lm_head.weight"). Adapters are "<map>.lora_A.weight"
// [r, in] and "<map>.lora_B.weight" [out, r], projectors "entities.drug.0.weight",
// "entities.drug.2.bias", collab "entities.drug.collab". All have the policy's dtype, except in a
// bfloat16 policy: there adapters, projectors and collab are float32, the optimizer's own
// precision, and are converted on use. Copies of a policy share storage.
class Policy {
 public:
  // Draws normal weights with standard deviation 1 / sqrt(fan-in) from counter-based numbers; norms
  // are 1, biases 0.
  static Policy Random(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed);
  // Reads config.json, model.safetensors (or the sharded index), and the entities and adapters that
  // Save wrote, if any. Checks every tensor's name, shape and dtype; throws one DataError that
  // lists all faults. `quantization` quantises the blocks' linear maps as they are read, so that
  // memory never holds them whole in `dtype`.
  static Policy Load(const std::filesystem::path& folder, at::ScalarType dtype,
                     Quantization quantization = Quantization::kNone);
  // Like Load, but leaves the base's plain weights in their files: parameters() has their names,
  // shapes and types, but no values. ReadStored reads them all; ShardedParameters reads each rank's
  // shard. Merging and materialising leave them in the files too.
  static Policy Open(const std::filesystem::path& folder, at::ScalarType dtype,
                     Quantization quantization = Quantization::kNone);
  // Reads all values that are still in files.
  void ReadStored();
  // Copies elements [begin, begin + out.numel()) of a flattened parameter, in memory or still in a
  // file, into `out`.
  void CopyParameter(const std::string& name, int64_t begin, const at::Tensor& out) const;
  // Records that the caller has read the parameter's values: it no longer counts as stored.
  void MarkRead(const std::string& name) { stored_.erase(name); }
  // Writes config.json and model.safetensors; adapters, if any, as adapter_config.json and
  // adapter_model.safetensors in peft's format; entities as entities.safetensors. The folder
  // appears whole or not at all. Quantised maps are written dequantised; loading them with the same
  // Quantization gives the same bits again. quantization.json names the maps that were plain among
  // them. If the parameters are spread over ranks, one rank calls Save and the others JoinSave.
  void Save(const std::filesystem::path& folder) const;
  void JoinSave() const;

  // Adds projectors with random weights.
  void AddEntities(const std::vector<EntitySlots>& slots, uint64_t seed);
  const std::vector<EntitySlots>& entities() const { return entities_; }

  // Adds adapters: lora_A Kaiming-uniform (a = sqrt 5) as in peft, lora_B 0, so that the policy's
  // output is unchanged at first. Throws UsageError on an unknown target or if the policy has
  // adapters already.
  void AddAdapters(const LoraOptions& options, uint64_t seed);
  // Makes `id` the first of config().end_ids; -1 changes nothing.
  void EndWith(int32_t id);
  bool has_adapters() const { return lora_scale_ != 0; }
  // Loads the adapters of a folder in peft's format, ours or another program's. Throws DataError if
  // they do not fit this policy or use an unsupported feature (DoRA, rsLoRA, a rank for each map).
  void LoadAdapters(const std::filesystem::path& folder);
  // Adds scale * B A to each map and drops the adapters. A quantised map becomes a plain one.
  void MergeAdapters();
  // Returns a policy whose slots are rows of the embedding table; vocab_size grows to cover them.
  // Its head is untied and gives a slot the logit of bos (0 without a bos). No text continues with
  // bos, so a server that samples from all rows draws no slots.
  Policy MaterializeEntities() const;

  // Selects what trains: `full`: every weight and projector; `lora`: adapters and projectors;
  // `adapters`: adapters only. Sets requires_grad accordingly and returns the trainable tensors,
  // sorted by name. Throws UsageError if `which` is `full` and the policy is quantised or bfloat16,
  // which is too coarse for an optimizer's steps.
  std::map<std::string, at::Tensor> SelectTrainable(const std::string& which);
  std::map<std::string, at::Tensor>& parameters() { return parameters_; }
  const std::map<std::string, at::Tensor>& parameters() const { return parameters_; }
  const PolicyConfig& config() const { return config_; }
  // The type of the weights and activations.
  at::ScalarType dtype() const { return HeadWeight().scalar_type(); }
  at::Device device() const { return HeadWeight().device(); }
  // Moves every tensor to `device`. Batches and token ids stay on the CPU and are moved on use.
  // Results are on the policy's device.
  void MoveTo(at::Device device);
  // The quantised weights by name; parameters() does not contain them.
  const std::map<std::string, QuantizedMatrix>& quantized() const { return quantized_; }
  // Quantises the blocks' linear maps. Throws UsageError if one is trainable.
  void QuantizeMaps(Quantization quantization);

  // Makes every forward and backward from now on ask `units` for the parameters it needs; null asks
  // nobody. `units` must outlive the policy or be detached with null. A Decoder needs all
  // parameters in memory.
  void AttachUnits(ParameterUnits* units) { units_ = units; }
  // 1 + num_layers, plus 1 for an untied head.
  int64_t num_units() const { return 1 + config_.num_layers + (config_.tie_embeddings ? 0 : 1); }
  // Returns the unit that holds the named parameter; -1 if none does.
  int64_t UnitOf(const std::string& name) const;

  // Returns the final hidden states (after the last norm) of the batch's asked rows, [Q, d_model].
  at::Tensor Hidden(const FamilyBatch& batch, const ForwardOptions& options) const;

  // Returns log softmax(head(hidden[sources]) / temperature)[targets], [N], in float32 or better.
  // Computes in chunks of rows, forward and backward, so that no [N, vocab_size] tensor is kept.
  // `entropy`, if given, receives the [N] entropies, without gradient.
  at::Tensor LogProbs(const at::Tensor& hidden, const at::Tensor& sources,
                      const at::Tensor& targets, double temperature = 1.0,
                      at::Tensor* entropy = nullptr) const;
  // Returns the logits of chosen tokens only, [N, K]: head rows `token_ids` [K] at `sources` [N].
  at::Tensor LogitsOf(const at::Tensor& hidden, const at::Tensor& sources,
                      const std::vector<int64_t>& token_ids) const;

  // Returns the input embeddings of token ids (slots through their projector), [n, d_model].
  at::Tensor Embed(const at::Tensor& tokens) const;

 private:
  friend class Decoder;
  BlockParameters LayerParameters(int64_t layer, bool adapters) const;
  // Builds the context of a forward over `batch`: layout, rotation angles, adapters.
  std::shared_ptr<BlockContext> MakeContext(const FamilyBatch& batch,
                                            const ForwardOptions& options) const;
  const at::Tensor& HeadWeight() const;  // [vocab_size, d_model]
  int64_t UnitOfHead() const;
  // The type of adapters, projectors and collab.
  at::ScalarType TrainableDtype() const;
  void CheckSlots(const EntitySlots& slots) const;            // throws UsageError
  at::Tensor ProjectedSlots(const EntitySlots& slots) const;  // [count, d_model]
  void OpenBase(const std::filesystem::path& folder, at::ScalarType dtype,
                Quantization quantization);
  // Returns the rows of a parameter or of a quantised map.
  RowSource RowsOf(const std::string& name) const;
  // Adds a parameter whose values are still in `rows`.
  void Store(const std::string& name, at::IntArrayRef shape, const at::TensorOptions& options,
             RowSource rows);
  // Throws std::logic_error if values are still in files and no ParameterUnits provide them.
  void CheckRead() const;
  // Writes the tensors of `shapes`, all of `dtype`, with `prefix` before each name. If `file` is
  // empty, writes nothing and only takes part in gathering the units for the rank that writes.
  void WriteTensors(const std::filesystem::path& file,
                    const std::map<std::string, std::vector<int64_t>>& shapes, at::ScalarType dtype,
                    const std::string& prefix) const;
  // Returns the parameter itself, or a new tensor if it is quantised or still in a file.
  at::Tensor Whole(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const;
  std::map<std::string, std::vector<int64_t>> AdapterShapesOf() const;
  void SaveBase(const std::filesystem::path& folder) const;
  void LoadEntities(const std::filesystem::path& folder);
  void SaveAdapters(const std::filesystem::path& folder) const;
  void SaveEntities(const std::filesystem::path& folder) const;

  PolicyConfig config_;
  std::map<std::string, at::Tensor> parameters_;
  std::map<std::string, RowSource> stored_;  // parameters without values: where to read them
  std::map<std::string, QuantizedMatrix> quantized_;
  bool was_quantized_ = false;  // quantised when loaded or by QuantizeMaps, even if merged since
  std::vector<EntitySlots> entities_;
  LoraOptions lora_;
  double lora_scale_ = 0;  // 0: no adapters
  ParameterUnits* units_ = nullptr;
};

}  // namespace flame

#endif  // FLAME_MODEL_POLICY_H_
