// A language model of the Llama kind over packed families.
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
  bool adapters = true;  // false: the reference policy
  // Training only: LoRA dropout masks are Philox numbers of (dropout_seed, layer, map, the row's
  // FamilyBatch::mask_rows); 0: no dropout.
  uint64_t dropout_seed = 0;
  bool recompute = false;
};

// Parameters are named as in transformers, whatever the architecture
// ("model.layers.0.self_attn.q_proj.weight", "lm_head.weight"), adapters as "<map>.lora_A.weight"
// [r, in] and "<map>.lora_B.weight" [out, r], projectors as "entities.drug.0.weight",
// "entities.drug.2.bias", collab as "entities.drug.collab". All are of the policy's dtype, but in a
// bfloat16 policy adapters, projectors and collab are float32, the optimizer's own precision, and
// are converted on use. Copies share storage.
class Policy {
 public:
  // Normal weights of deviation 1 / sqrt(fan-in), norms 1, biases 0, from counter-based numbers.
  static Policy Random(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed);
  // config.json + model.safetensors (or the sharded index), and entities/adapters where Save wrote
  // them. Every tensor's name, shape and dtype is checked; all faults in one DataError. With
  // `quantization` the blocks' linear maps are quantised as they are read, so that memory never
  // holds them whole in `dtype`.
  static Policy Load(const std::filesystem::path& folder, at::ScalarType dtype,
                     Quantization quantization = Quantization::kNone);
  // The same, but the base's plain weights stay in their files: parameters() has their names,
  // shapes and types and no values, for ReadStored, or for ShardedParameters, which takes each
  // rank's shard. Merging and materialising keep it so.
  static Policy Open(const std::filesystem::path& folder, at::ScalarType dtype,
                     Quantization quantization = Quantization::kNone);
  // Reads what is still in files.
  void ReadStored();
  // Elements [begin, begin + out.numel()) of a flattened parameter, stored or not, into `out`.
  void CopyParameter(const std::string& name, int64_t begin, const at::Tensor& out) const;
  // The parameter's values have been taken: it counts as stored no longer.
  void MarkRead(const std::string& name) { stored_.erase(name); }
  // Writes config.json, model.safetensors, and adapter_config.json + adapter_model.safetensors in
  // peft's format where there are adapters; entities in entities.safetensors. Whole or absent.
  // Quantised maps are written as what they stand for; loaded with the same Quantization they are
  // the same again, bit for bit. quantization.json names the maps that were plain among them. A
  // policy whose parameters are spread over ranks is written by one rank, while the others call
  // JoinSave.
  void Save(const std::filesystem::path& folder) const;
  void JoinSave() const;

  // Adds projectors with random weights.
  void AddEntities(const std::vector<EntitySlots>& slots, uint64_t seed);
  const std::vector<EntitySlots>& entities() const { return entities_; }

  // lora_A Kaiming-uniform(a = sqrt 5) as peft, lora_B 0: the policy is unchanged at first. Throws
  // UsageError on an unknown target or if there are adapters.
  void AddAdapters(const LoraOptions& options, uint64_t seed);
  // `id` (-1: nothing) becomes the first of config().end_ids.
  void EndWith(int32_t id);
  bool has_adapters() const { return lora_scale_ != 0; }
  // Adapters of a folder in peft's format, ours or another's. Throws DataError on one that does not
  // fit this policy, or that uses what is not known here (DoRA, rsLoRA, a rank for each map).
  void LoadAdapters(const std::filesystem::path& folder);
  // Adds scale * B A to each map and drops the adapters. A quantised map becomes a plain one.
  void MergeAdapters();
  // A policy whose slots are rows of the embedding table: vocab_size grows to cover them. Its head
  // is untied and gives a slot the logit of bos, which no text continues with (0 without a bos), so
  // that a server that samples from all rows draws no slots.
  Policy MaterializeEntities() const;

  // `full`: every weight and projector; `lora`: adapters and projectors; `adapters`: adapters only.
  // Sets requires_grad accordingly and returns the trainable tensors, sorted by name. Throws
  // UsageError on `full` of a bfloat16 policy, whose weights are too coarse for an optimizer's
  // steps, and of a quantised one.
  std::map<std::string, at::Tensor> SelectTrainable(const std::string& which);
  std::map<std::string, at::Tensor>& parameters() { return parameters_; }
  const std::map<std::string, at::Tensor>& parameters() const { return parameters_; }
  const PolicyConfig& config() const { return config_; }
  // Of the weights and activations.
  at::ScalarType dtype() const { return HeadWeight().scalar_type(); }
  at::Device device() const { return HeadWeight().device(); }
  // Moves every tensor. Batches and token ids stay on the CPU, whatever the device: they are moved
  // on use. Results are on the policy's device.
  void MoveTo(at::Device device);
  // By the weight's name; these weights are not among parameters().
  const std::map<std::string, QuantizedMatrix>& quantized() const { return quantized_; }
  // Quantises the blocks' linear maps, which must not be trainable.
  void QuantizeMaps(Quantization quantization);

  // From now on every forward and backward asks `units` (null: nobody) for the parameters it needs.
  // They outlive the policy or are taken off again. A Decoder needs all parameters in place.
  void AttachUnits(ParameterUnits* units) { units_ = units; }
  // 1 + num_layers, and one more for an untied head.
  int64_t num_units() const { return 1 + config_.num_layers + (config_.tie_embeddings ? 0 : 1); }
  // Of a parameter by its name; -1: of none.
  int64_t UnitOf(const std::string& name) const;

  // Final hidden states (after the last norm) of the batch's asked rows, [Q, d_model].
  at::Tensor Hidden(const FamilyBatch& batch, const ForwardOptions& options) const;

  // log softmax(head(hidden[sources]) / temperature)[targets], [N] in fp32 or better. Computed in
  // chunks of rows, forward and backward, so that no [N, vocab_size] tensor is kept.
  // `entropy`, if given, receives the [N] entropies, without gradient.
  at::Tensor LogProbs(const at::Tensor& hidden, const at::Tensor& sources,
                      const at::Tensor& targets, double temperature = 1.0,
                      at::Tensor* entropy = nullptr) const;
  // Logits of chosen tokens only: head rows `token_ids` [K] at `sources` [N] -> [N, K].
  at::Tensor LogitsOf(const at::Tensor& hidden, const at::Tensor& sources,
                      const std::vector<int64_t>& token_ids) const;

  // Input embeddings of token ids (slots through their projector), [n, d_model].
  at::Tensor Embed(const at::Tensor& tokens) const;

 private:
  friend class Decoder;
  BlockParameters LayerParameters(int64_t layer, bool adapters) const;
  // The context of a forward over `batch`: layout, rotation angles, adapters.
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
  // Of a parameter or a quantised map.
  RowSource RowsOf(const std::string& name) const;
  // A new parameter, stored.
  void Store(const std::string& name, at::IntArrayRef shape, const at::TensorOptions& options,
             RowSource rows);
  // Throws std::logic_error where values are missing.
  void CheckRead() const;
  // Writes `names` of one type, each `prefix` in front; "": joins the others.
  void WriteTensors(const std::filesystem::path& file,
                    const std::map<std::string, std::vector<int64_t>>& shapes, at::ScalarType dtype,
                    const std::string& prefix) const;
  // In place, or made.
  at::Tensor Whole(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) const;
  std::map<std::string, std::vector<int64_t>> AdapterShapesOf() const;
  void SaveBase(const std::filesystem::path& folder) const;
  void LoadEntities(const std::filesystem::path& folder);
  void SaveAdapters(const std::filesystem::path& folder) const;
  void SaveEntities(const std::filesystem::path& folder) const;

  PolicyConfig config_;
  std::map<std::string, at::Tensor> parameters_;
  std::map<std::string, RowSource> stored_;  // of parameters without values
  std::map<std::string, QuantizedMatrix> quantized_;
  bool was_quantized_ = false;  // at its start, whatever was merged since
  std::vector<EntitySlots> entities_;
  LoraOptions lora_;
  double lora_scale_ = 0;  // 0: no adapters
  ParameterUnits* units_ = nullptr;
};

}  // namespace flame

#endif  // FLAME_MODEL_POLICY_H_
