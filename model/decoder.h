// Decoding with a KV cache in which a trunk is stored once and shared by its group.
#ifndef FLAME_MODEL_DECODER_H_
#define FLAME_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/block.h"
#include "model/kernels/decode_attention.h"
#include "model/kernels/static_step.h"
#include "model/kernels/step_recorder.h"
#include "model/policy.h"

namespace flame {

// Room of a decoder, each at least 1.
struct DecoderShape {
  int64_t slots = 1;         // branches at a time
  int64_t places = 1;        // trunks at a time
  int64_t trunk_tokens = 1;  // of the longest trunk
  int64_t max_tokens = 1;    // fed to a branch
  int64_t group = 0;         // branches of a trunk at a time; 0: as many as there are slots
};

// Decodes branches of several trunks, each of its own length. Places and slots are taken again as
// the caller sees fit, so that a finished branch makes room for the next; nothing is reallocated.
// No gradients. On the CPU a step costs what its branches need. On other devices it is a static
// step (model/kernels/static_step.h) over all slots, the same work every time, which a recorder
// repeats where there is one; the device gets one copy of token ids and sizes a step and is waited
// for once, when the logits are copied to the host: slots x vocab_size numbers of the policy's type
// (65 MB for 256 branches of 128,256 tokens in bfloat16). Worked example, two members of one trunk:
//   Decoder decoder(policy, {.slots = 2, .places = 1, .trunk_tokens = 512, .max_tokens = 32});
//   at::Tensor first = decoder.Prefill({0}, {trunk});  // [1, V]: of both members' first token
//   decoder.Begin(0, 0), decoder.Begin(1, 0);
//   while (...) logits = decoder.Step({0, 1}, tokens);  // [2, V]
class Decoder {
 public:
  // Reads the policy's weights, adapters applied, as they are now; the policy outlives it. Throws
  // UsageError where trunk_tokens + max_tokens exceeds max_positions.
  Decoder(const Policy& policy, const DecoderShape& shape);
  // Static steps on any device, repeated by `recorder`; null: computed anew each time.
  Decoder(const Policy& policy, const DecoderShape& shape, std::unique_ptr<StepRecorder> recorder);
  Decoder(const Decoder&) = delete;  // a recording knows its address
  Decoder& operator=(const Decoder&) = delete;

  // Trunk i, of 1 to trunk_tokens tokens, takes places[i] (distinct) from what was there. All go
  // through the packed family forward at once. Gives the logits behind each, [n, vocab_size]
  // float32 on the CPU.
  at::Tensor Prefill(const std::vector<int64_t>& places,
                     const std::vector<std::vector<int32_t>>& trunks);
  // `slot` is a branch of the trunk in `place`, without tokens, from now on. Throws UsageError
  // where the place has shape.group branches, on devices other than the CPU.
  void Begin(int64_t slot, int64_t place);
  // Feeds tokens[i] to slots[i] (distinct, begun) and gives the logits of the next ones,
  // [n, vocab_size] float32 on the CPU. Slots not named stay as they are. Throws UsageError on a
  // slot that has max_tokens already and, in a static step, on a token that is no row of the
  // embedding table.
  at::Tensor Step(const std::vector<int64_t>& slots, const std::vector<int64_t>& tokens);

 private:
  struct Branch {
    int64_t place = -1, size = 0;
  };
  void Allocate(KeyLayout layout);
  at::Tensor Logits(const at::Tensor& x) const;  // on the policy's device, in its type
  DecodeStep Plan(const std::vector<int64_t>& slots) const;
  void CheckRoom(int64_t slot) const;
  at::Tensor StepStatic(const std::vector<int64_t>& slots, const std::vector<int64_t>& tokens);
  void RunStatic();  // the recorder's body

  const Policy& policy_;
  DecoderShape shape_;
  std::vector<BlockParameters> layers_;
  BlockContext context_;                     // of a step, but for the rotation
  at::Tensor cosine_, sine_;                 // [positions, head_dim / 2]
  std::vector<KeyValueCache> trunks_, own_;  // a layer each; sequences are places and slots
  std::vector<int64_t> trunk_size_;          // by place
  std::vector<Branch> branches_;             // by slot
  // Of static steps.
  std::unique_ptr<StaticStep> static_;
  std::unique_ptr<StepRecorder> recorder_;
  at::Tensor logits_;       // [slots, vocab_size], on the device
  at::Tensor host_logits_;  // the same, on the CPU
  int64_t num_static_steps_ = 0;
};

}  // namespace flame

#endif  // FLAME_MODEL_DECODER_H_
