// A Llama-like language model that computes over packed families (model/family.h).
#ifndef FLAME_MODEL_POLICY_H_
#define FLAME_MODEL_POLICY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/architecture.h"
#include "model/entity_slots.h"
#include "model/family.h"
#include "model/files/stored_rows.h"
#include "model/named_tensors.h"
#include "model/options.h"
#include "model/policy_parts.h"
#include "model/sharded_model.h"

namespace flame {

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
// "entities.drug.2.bias", collab "entities.drug.collab" unless it is borrowed. All have the
// policy's dtype, except in a bfloat16 policy: there adapters, projectors and collab are float32,
// the optimizer's own precision, and are converted on use. Copies of a policy share storage.
class Policy : public ShardedModel {
 public:
  // Draws normal weights with standard deviation 1 / sqrt(fan-in) from counter-based numbers; norms
  // are 1, biases 0.
  static Policy Random(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed);
  // Takes `parts`, as OpenPolicy makes them; tensors and names must fit its config.
  explicit Policy(PolicyParts parts) : parts_(std::move(parts)) {}
  void ReadStored() override;
  void CopyParameter(const std::string& name, int64_t begin, const at::Tensor& out) const override;
  void MarkRead(const std::string& name) override { parts_.stored.erase(name); }
  int64_t UnitOf(const std::string& name) const override;
  bool IsBlock(int64_t unit) const override;
  // Adds projectors with random weights.
  void AddEntities(const std::vector<EntitySlots>& slots, uint64_t seed);
  const std::vector<EntitySlots>& entities() const { return parts_.entities; }
  // Replaces the vectors that a kind's slots are projected from. Throws UsageError if there is no
  // such kind or the shape is another one; of a borrowed kind, only the width must be the same.
  void SetCollab(const std::string& kind, const at::Tensor& vectors);
  // Gives each borrowed kind one slot, whose vector is 0, and makes it a kind like others.
  void DropBorrowed();

  // Adds adapters: lora_A Kaiming-uniform (a = sqrt 5) as in peft, lora_B 0, so that the policy's
  // output is unchanged at first. Throws UsageError on an unknown target or if the policy has
  // adapters already.
  void AddAdapters(const LoraOptions& options, uint64_t seed);
  // Makes `id` the first of config().end_ids; -1 changes nothing.
  void EndWith(int32_t id);
  bool has_adapters() const { return parts_.lora_scale != 0; }
  // Adds these adapters, which are named like parameters and are in TrainableDtype(). Throws
  // UsageError if the policy has adapters already.
  void TakeAdapters(const LoraOptions& options, NamedTensors adapters);
  // Adds scale * B A to each map and drops the adapters. A quantised map becomes a plain one.
  void MergeAdapters();
  // Returns a policy whose slots, except borrowed ones, are rows of the embedding table; vocab_size
  // grows to cover them. Its head is untied. A slot's logit equals that of bos, which no text
  // continues with, so that a server draws no slot; without a bos it is 0.
  Policy MaterializeEntities() const;

  // Gives tokens that are input alone the output row of bos, which no text continues with (0
  // without a bos), whatever they had, and unties the head.
  void SilenceTokens(const std::vector<int32_t>& ids);

  // Selects what trains: `full`: every weight and projector; `lora`: adapters and projectors;
  // `adapters`: adapters only. Sets requires_grad accordingly and returns the trainable tensors,
  // sorted by name. Throws UsageError if `which` is `full` and the policy is quantised or bfloat16:
  // these types are too coarse for the optimizer's steps.
  NamedTensors SelectTrainable(const std::string& which);
  NamedTensors& parameters() { return parts_.parameters; }
  const NamedTensors& parameters() const override { return parts_.parameters; }
  const PolicyConfig& config() const { return parts_.config; }
  // The type of the weights and activations.
  at::ScalarType dtype() const { return HeadWeight().scalar_type(); }
  at::Device device() const override { return HeadWeight().device(); }
  // Moves every tensor to `device`. Batches and token ids stay on the CPU and are moved on use.
  // Results are on the policy's device.
  void MoveTo(at::Device device);
  // The quantised weights by name; parameters() does not contain them.
  const std::map<std::string, QuantizedMatrix>& quantized() const { return parts_.quantized; }
  // Quantises the blocks' linear maps. Throws UsageError if one is trainable.
  void QuantizeMaps(Quantization quantization);

  // A Decoder needs all parameters in memory.
  void AttachUnits(ParameterUnits* units) override { units_ = units; }

  // Returns the final hidden states (after the last norm) of the batch's asked rows, [Q, d_model].
  at::Tensor Hidden(const FamilyBatch& batch, const ForwardOptions& options) const;

  // Returns log softmax(head(hidden[sources]) / temperature)[targets], [N], or [N, K] if targets
  // are K tokens for each source, in float32 or better. Computes in chunks of rows, forward and
  // backward: no [N, vocab_size] is kept. `entropy`, if given, receives [N], without gradient.
  at::Tensor LogProbs(const at::Tensor& hidden, const at::Tensor& sources,
                      const at::Tensor& targets, double temperature = 1.0,
                      at::Tensor* entropy = nullptr) const;
  // Returns the logits of chosen tokens only, [N, K]: head rows `token_ids` [K] at `sources` [N].
  at::Tensor LogitsOf(const at::Tensor& hidden, const at::Tensor& sources,
                      const std::vector<int64_t>& token_ids) const;

  // Returns the input embeddings of token ids (slots through their projector), [n, d_model].
  at::Tensor Embed(const at::Tensor& tokens) const;

  // For code that reads, writes or decodes a policy:
  const PolicyParts& parts() const { return parts_; }
  ParameterUnits* units() const { return units_; }  // null: all parameters are in memory
  // The rows of a parameter or of a quantised map, in memory or still in a file.
  RowSource RowsOf(const std::string& name) const;
  BlockParameters LayerParameters(int64_t layer, bool adapters) const;
  const at::Tensor& HeadWeight() const;  // [vocab_size, d_model]
  // The type of adapters, projectors and collab.
  at::ScalarType TrainableDtype() const;
  // Throws std::logic_error if values are still in files and no units bring them.
  void CheckRead() const;

 private:
  // The context of a forward over `batch`: layout, rotation angles, adapters.
  std::shared_ptr<BlockContext> MakeContext(const FamilyBatch& batch,
                                            const ForwardOptions& options) const;
  int64_t UnitOfHead() const;
  // Returns the embeddings of some of a kind's vectors, [n, d_model].
  at::Tensor Projected(const EntitySlots& slots, const at::Tensor& vectors) const;
  // Replaces a parameter by one whose values lie in `rows`.
  void Store(const std::string& name, at::IntArrayRef shape, const at::TensorOptions& options,
             RowSource rows);

  PolicyParts parts_;
  ParameterUnits* units_ = nullptr;
};

}  // namespace flame

#endif  // FLAME_MODEL_POLICY_H_
