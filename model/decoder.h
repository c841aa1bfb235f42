// Decodes with a KV cache that stores each trunk once, shared by all branches of its group.
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

// The capacity of a decoder. Every number is at least 1, except `group`.
struct DecoderShape {
  int64_t slots = 1;         // branches at the same time
  int64_t places = 1;        // trunks at the same time
  int64_t trunk_tokens = 1;  // tokens of the longest trunk
  int64_t max_tokens = 1;    // tokens fed to one branch
  int64_t group = 0;         // branches of one trunk at the same time; 0: `slots`
};

// Decodes branches of several trunks; every branch has its own length. The caller reuses places and
// slots as it likes, so that a finished branch makes room for the next; nothing is reallocated. No
// gradients.
//
// On the CPU the cost of a step depends on its branches only. On other devices every step is a
// static step (model/kernels/static_step.h) over all slots, always the same work, which a recorder
// repeats if there is one. A step copies token ids and sizes to the device once and waits for the
// device once, to copy the logits to the host: slots x vocab_size numbers of the policy's type (65
// MB for 256 branches of 128,256 tokens in bfloat16).
//
// Worked example, two members of one trunk:
//   Decoder decoder(policy, {.slots = 2, .places = 1, .trunk_tokens = 512, .max_tokens = 32});
//   at::Tensor first = decoder.Prefill({0}, {trunk});  // [1, V]: of both members' first token
//   decoder.Begin(0, 0), decoder.Begin(1, 0);
//   while (...) logits = decoder.Step({0, 1}, tokens);  // [2, V]
class Decoder {
 public:
  // Reads the policy's present weights with adapters applied. The policy must outlive the decoder.
  // Throws UsageError if trunk_tokens + max_tokens exceeds max_positions.
  Decoder(const Policy& policy, const DecoderShape& shape);
  // Uses static steps on any device. `recorder` repeats them; null: every step is computed anew.
  Decoder(const Policy& policy, const DecoderShape& shape, std::unique_ptr<StepRecorder> recorder);
  Decoder(const Decoder&) = delete;  // a recording holds this object's address
  Decoder& operator=(const Decoder&) = delete;

  // Puts trunk i, of 1 to trunk_tokens tokens, into places[i] (distinct), replacing what was there.
  // All trunks go through one packed family forward. Returns the logits after each trunk,
  // [n, vocab_size] float32 on the CPU.
  at::Tensor Prefill(const std::vector<int64_t>& places,
                     const std::vector<std::vector<int32_t>>& trunks);
  // Makes `slot` an empty branch of the trunk in `place`. Throws UsageError, on devices other than
  // the CPU, if the place has shape.group branches already.
  void Begin(int64_t slot, int64_t place);
  // Feeds tokens[i] to slots[i] (distinct, begun) and returns the logits of the next tokens,
  // [n, vocab_size] float32 on the CPU. Other slots stay as they are. Throws UsageError if a slot
  // has max_tokens tokens already or, in a static step, if a token is not a row of the embedding
  // table.
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
  void RunStatic();  // the body that the recorder records

  const Policy& policy_;
  DecoderShape shape_;
  std::vector<BlockParameters> layers_;
  BlockContext context_;      // context of a step; RunStatic and Step set its rotation
  at::Tensor cosine_, sine_;  // [positions, head_dim / 2]
  std::vector<KeyValueCache> trunks_, own_;  // one for each layer; sequences are places and slots
  std::vector<int64_t> trunk_size_;          // [places]
  std::vector<Branch> branches_;             // [slots]
  // The members below serve static steps only.
  std::unique_ptr<StaticStep> static_;
  std::unique_ptr<StepRecorder> recorder_;
  at::Tensor logits_;       // [slots, vocab_size], on the device
  at::Tensor host_logits_;  // the same, on the CPU
  int64_t num_static_steps_ = 0;
};

}  // namespace flame

#endif  // FLAME_MODEL_DECODER_H_
