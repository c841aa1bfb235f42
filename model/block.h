// One transformer block as a pure function of (parameters, input, family layout), with a
// hand-written derivative. Each block is one autograd node.
#ifndef FLAME_MODEL_BLOCK_H_
#define FLAME_MODEL_BLOCK_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/family.h"
#include "model/kernels/attention.h"
#include "model/kernels/quantized.h"
#include "model/map_names.h"
#include "model/parameter_units.h"

namespace flame {

// A linear map: y = x W^T + bias + lora_scale * dropout(x) A^T B^T.
struct LinearMap {
  at::Tensor weight;          // [out, in]
  QuantizedMatrix quantized;  // frozen; replaces `weight` if that is undefined
  at::Tensor bias;            // [out]; undefined: no bias
  // [r, in] and [out, r]; undefined: no adapter. With bfloat16 activations they are float32:
  // converted on use, and their gradients converted back.
  at::Tensor lora_a, lora_b;
};

struct BlockParameters {
  at::Tensor attention_norm, ffn_norm;  // [d_model]
  at::Tensor query_norm, key_norm;      // [head_dim]; undefined: no norm
  std::array<LinearMap, kNumMaps> maps;
  // Returns this object's tensors in a fixed order, but only those that are defined in `present`.
  std::vector<at::Tensor*> Tensors(const BlockParameters& present);
};

// Data that all blocks of one forward share: T tokens, of which Q rows are asked for.
struct BlockContext {
  std::vector<FamilyLayout> families, asked;
  at::Tensor cosine, sine;  // [T, head_dim / 2]
  // int64 [Q]: the last block computes only keys and values for all other rows. Undefined: all rows
  // are asked for, and `asked` is not read.
  at::Tensor asked_rows;
  int64_t num_layers = 0;
  int64_t head_dim = 0;
  double rms_eps = 0, lora_scale = 0, dropout = 0;
  uint64_t dropout_seed = 0;              // 0: no dropout
  at::Tensor mask_rows, asked_mask_rows;  // int64 [T], [Q]: FamilyBatch::mask_rows, for dropout
  bool dropping() const { return dropout_seed != 0 && dropout > 0; }
  bool recompute = false;
  ParameterUnits* units = nullptr;
};

// The tensors that a block's derivative needs besides its parameters. Q equals T in every block
// except a last one with asked_rows.
struct BlockTape {
  at::Tensor input;                       // [T, d_model]
  at::Tensor attention_inverse;           // [T], 1 / rms of the norm's input
  at::Tensor attention_in;                // [T, d_model], output of the norm
  at::Tensor raw_query, raw_key;          // [Q or T * heads, head_dim], before the heads' norms
  at::Tensor query_inverse, key_inverse;  // [Q or T * heads], 1 / rms of those norms' inputs
  AttentionInput attention;               // after rotation
  AttentionOutput attended;
  at::Tensor middle;       // [Q, d_model], input + attention
  at::Tensor ffn_inverse;  // [Q]
  at::Tensor ffn_in;       // [Q, d_model]
  at::Tensor gate, up;     // [Q, d_ff]
};

// Returns the bytes of the tape of a block with T rows, Q of them asked for. The block's input is
// not counted: it is the output of the previous block. `item_bytes`: bytes of one number.
// `wide_bytes`: bytes of one number of the inverse norms and log-sum-exps.
int64_t TapeBytes(const PolicyConfig& config, int64_t rows, int64_t asked, int64_t item_bytes,
                  int64_t wide_bytes);

// Compute a block without its attention, for a caller that has its own: BlockBegin fills
// tape->attention (queries and keys rotated), BlockEnd takes tape->attended.out and returns the
// block's output.
void BlockBegin(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                const BlockContext& context, BlockTape* tape);
at::Tensor BlockEnd(const BlockParameters& parameters, int64_t layer, const BlockContext& context,
                    BlockTape* tape);

// Returns FamilyAttention over the layout that the layer needs.
AttentionOutput BlockAttention(const AttentionInput& input, int64_t layer,
                               const BlockContext& context);

// Returns the block's output [Q, d_model]; `tape` receives what the derivative needs. No autograd.
at::Tensor BlockForward(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                        const BlockContext& context, BlockTape* tape);

// Returns the gradient of the input and puts the gradients of those parameters that require one
// into `gradients`. Consumes the tape.
at::Tensor BlockBackward(const BlockParameters& parameters, const at::Tensor& grad_output,
                         int64_t layer, const BlockContext& context, BlockTape tape,
                         BlockParameters* gradients);

// Runs BlockForward as one autograd node. With context.recompute the node keeps only the block's
// input and runs the block again in backward. With context.units the parameters have values only
// during forward and backward. The backward adds the gradients to .grad; they are complete when the
// backward ends.
at::Tensor Block(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                 std::shared_ptr<const BlockContext> context);

struct WeightUnit;

// Runs RMSNorm as one autograd node; `owner` knows the unit of `weight`.
at::Tensor Norm(const at::Tensor& input, const at::Tensor& weight, double eps,
                c10::intrusive_ptr<WeightUnit> owner);

}  // namespace flame

#endif  // FLAME_MODEL_BLOCK_H_
