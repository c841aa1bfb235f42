// torch.nn.TransformerEncoder over sequences of unequal length (Vaswani et al. 2017): norms behind
// attention and feed-forward, ReLU.
#ifndef FLAME_ENCODERS_TRANSFORMER_ENCODER_H_
#define FLAME_ENCODERS_TRANSFORMER_ENCODER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "encoders/whole_model.h"

namespace flame {

struct TransformerShape {
  int64_t dim = 0, layers = 0, heads = 0, hidden = 0;
  double dropout = 0;
};

// The parameters below `name`, named as torch.nn.TransformerEncoder names them.
Shapes TransformerShapes(const std::string& name, const TransformerShape& shape);
void InitTransformer(const std::string& name, const TransformerShape& shape, ParameterInit* init);

// Returns the outputs at the first token of each sequence, [sequences, dim]. `x` [T, dim] has the
// tokens of all sequences, one sequence behind the other. `keys`, one for each sequence, tell
// dropout masks apart; `dropout_seed` 0: no dropout.
at::Tensor FirstOutputs(const std::string& name, const TransformerShape& shape,
                        const NamedTensors& parameters, const at::Tensor& x,
                        const std::vector<int64_t>& lengths, const std::vector<int64_t>& keys,
                        uint64_t dropout_seed);

}  // namespace flame

#endif  // FLAME_ENCODERS_TRANSFORMER_ENCODER_H_
