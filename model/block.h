// One transformer block as a pure function of (parameters, input, family layout), with its
// derivative written out; one autograd node a block.
#ifndef FLAME_MODEL_BLOCK_H_
#define FLAME_MODEL_BLOCK_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/family.h"
#include "model/kernels/attention.h"
#include "model/kernels/quantized.h"
#include "model/map_names.h"
#include "model/parameter_units.h"

namespace flame {

// y = x W^T + bias + lora_scale * dropout(x) A^T B^T.
struct LinearMap {
  at::Tensor weight;          // [out, in]
  QuantizedMatrix quantized;  // the same where `weight` is undefined: frozen
  at::Tensor bias;            // [out]; undefined: none
  // [r, in], [out, r]; undefined: no adapter. float32 where activations are bfloat16: converted on
  // use, their gradients converted back.
  at::Tensor lora_a, lora_b;
};

struct BlockParameters {
  at::Tensor attention_norm, ffn_norm;  // [d_model]
  at::Tensor query_norm, key_norm;      // [head_dim]; undefined: no norm
  std::array<LinearMap, kNumMaps> maps;
  // This object's tensors in a fixed order, those that `present` defines.
  std::vector<at::Tensor*> Tensors(const BlockParameters& present);
};

// What the blocks of one forward share: T tokens, of which Q rows are asked for.
struct BlockContext {
  std::vector<FamilyLayout> families, asked;
  at::Tensor cosine, sine;  // [T, head_dim / 2]
  // int64 [Q]: the rows that the last block computes anything for but keys and values. Undefined:
  // all, and `asked` is not read.
  at::Tensor asked_rows;
  int64_t num_layers = 0;
  int64_t head_dim = 0;
  double rms_eps = 0, lora_scale = 0, dropout = 0;
  uint64_t dropout_seed = 0;              // 0: no dropout
  at::Tensor mask_rows, asked_mask_rows;  // int64 [T], [Q]: FamilyBatch::mask_rows; with dropout
  bool dropping() const { return dropout_seed != 0 && dropout > 0; }
  bool recompute = false;
  ParameterUnits* units = nullptr;
};

// What a block's derivative needs beside its parameters. Q is T in all blocks but a last one with
// asked_rows.
struct BlockTape {
  at::Tensor input;                       // [T, d_model]
  at::Tensor attention_inverse;           // [T], of the norm
  at::Tensor attention_in;                // [T, d_model], the norm's output
  at::Tensor raw_query, raw_key;          // [Q or T * heads, head_dim], before their norm
  at::Tensor query_inverse, key_inverse;  // [Q or T * heads], of those norms
  AttentionInput attention;               // after rotation
  AttentionOutput attended;
  at::Tensor middle;       // [Q, d_model], input + attention
  at::Tensor ffn_inverse;  // [Q]
  at::Tensor ffn_in;       // [Q, d_model]
  at::Tensor gate, up;     // [Q, d_ff]
};

// The two halves of a block around its attention, for a caller with an attention of its own: up to
// tape->attention (queries and keys rotated), and from tape->attended.out to the block's output.
void BlockBegin(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                const BlockContext& context, BlockTape* tape);
at::Tensor BlockEnd(const BlockParameters& parameters, int64_t layer, const BlockContext& context,
                    BlockTape* tape);

// FamilyAttention as the block's layer asks for it.
AttentionOutput BlockAttention(const AttentionInput& input, int64_t layer,
                               const BlockContext& context);

// The block's output [Q, d_model]; `tape` receives what the derivative needs. No autograd.
at::Tensor BlockForward(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                        const BlockContext& context, BlockTape* tape);

// Gives the gradient of the input and, in `gradients`, of those parameters that require one.
// Consumes the tape.
at::Tensor BlockBackward(const BlockParameters& parameters, const at::Tensor& grad_output,
                         int64_t layer, const BlockContext& context, BlockTape tape,
                         BlockParameters* gradients);

// BlockForward as one autograd node. With context.recompute it keeps the block's input only and
// runs the block again in backward. With context.units the parameters are there during either pass
// only, and backward adds their gradients to .grad itself, so that they are whole when it ends.
at::Tensor Block(const BlockParameters& parameters, const at::Tensor& input, int64_t layer,
                 std::shared_ptr<const BlockContext> context);

struct WeightUnit;

// RMSNorm as one autograd node; `owner` knows the unit of `weight`.
at::Tensor Norm(const at::Tensor& input, const at::Tensor& weight, double eps,
                c10::intrusive_ptr<WeightUnit> owner);

}  // namespace flame

#endif  // FLAME_MODEL_BLOCK_H_
