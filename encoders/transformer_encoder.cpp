#include "encoders/transformer_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "encoders/code_lists.h"
#include "encoders/dropout.h"
#include "encoders/long_tensor.h"

namespace flame {
namespace {

// The places of dropout in a layer, in the order of torch's.
enum Place : uint32_t { kAttention, kBehindAttention, kInside, kBehindFeedForward, kNumPlaces };

// How the tokens of all sequences lie in a [sequences, most] table with padding.
struct Layout {
  int64_t sequences = 0, most = 0;
  at::Tensor cells;      // int64 [T]: the cell of each token
  at::Tensor first;      // int64 [sequences]: the first token of each sequence
  at::Tensor bias;       // float [sequences, 1, 1, most]: 0 for a token, -inf for padding
  at::Tensor mask_rows;  // int64 [T]
  at::Tensor cell_rows;  // int64 [sequences * most]
};

Layout LayoutOf(const std::vector<int64_t>& lengths, const std::vector<int64_t>& keys) {
  Layout layout;
  layout.sequences = static_cast<int64_t>(lengths.size());
  layout.most = *std::max_element(lengths.begin(), lengths.end());
  std::vector<int64_t> cells, first, rows, cell_rows;
  layout.bias = at::full({layout.sequences, 1, 1, layout.most},
                         -std::numeric_limits<float>::infinity(), at::kFloat);
  float* bias = layout.bias.mutable_data_ptr<float>();
  for (int64_t s = 0; s < layout.sequences; ++s) {
    first.push_back(static_cast<int64_t>(cells.size()));
    for (int64_t i = 0; i < layout.most; ++i) {
      cell_rows.push_back(keys[s] * kMostCodes + i);
      if (i >= lengths[s]) continue;
      cells.push_back(s * layout.most + i);
      rows.push_back(cell_rows.back());
      bias[s * layout.most + i] = 0;
    }
  }
  layout.cells = LongTensor(cells);
  layout.first = LongTensor(first);
  layout.mask_rows = LongTensor(rows);
  layout.cell_rows = LongTensor(cell_rows);
  return layout;
}

class Layer {
 public:
  Layer(std::string name, int64_t index, const TransformerShape& shape,
        const NamedTensors& parameters, const Layout& layout, uint64_t dropout_seed)
      : name_(std::move(name)),
        index_(index),
        shape_(shape),
        parameters_(parameters),
        layout_(layout),
        seed_(dropout_seed) {}

  // Returns the outputs of all tokens, [T, dim]; if `only_first`, of the first token of each
  // sequence, [sequences, dim]: the last layer is asked for no more.
  at::Tensor operator()(const at::Tensor& x, bool only_first) const {
    const auto chosen = [&](const at::Tensor& rows) {
      return only_first ? rows.index_select(0, layout_.first) : rows;
    };
    const at::Tensor rows = chosen(layout_.mask_rows);
    const at::Tensor attended = Map("self_attn.out_proj", Attention(x, only_first));
    const at::Tensor h = Norm("norm1", chosen(x) + Drop(attended, kBehindAttention, rows));
    const at::Tensor inside = Drop(at::relu(Map("linear1", h)), kInside, rows);
    return Norm("norm2", h + Drop(Map("linear2", inside), kBehindFeedForward, rows));
  }

 private:
  const at::Tensor& P(const std::string& name) const {
    return parameters_.at(StrCat(name_, ".", name));
  }
  at::Tensor Map(const std::string& name, const at::Tensor& x) const {
    return at::linear(x, P(name + ".weight"), P(name + ".bias"));
  }
  at::Tensor Norm(const std::string& name, const at::Tensor& x) const {
    return at::layer_norm(x, {shape_.dim}, P(name + ".weight"), P(name + ".bias"));
  }
  at::Tensor Drop(const at::Tensor& x, Place place, const at::Tensor& rows) const {
    if (seed_ == 0) return x;
    return DropOut(x, shape_.dropout, seed_, static_cast<uint32_t>(index_) * kNumPlaces + place,
                   rows);
  }

  // Rows of the masks of attention: one for each cell, [sequences, heads, cells].
  at::Tensor AttentionRows(int64_t queries) const {
    const at::Tensor cells =
        layout_.cell_rows.view({layout_.sequences, 1, layout_.most}).narrow(2, 0, queries);
    std::vector<int64_t> heads;
    for (int64_t h = 0; h < shape_.heads; ++h) heads.push_back(h);
    return (cells * shape_.heads + LongTensor(heads).view({1, shape_.heads, 1})).flatten();
  }

  // Returns the concatenated heads, [T or sequences, dim].
  at::Tensor Attention(const at::Tensor& x, bool only_first) const {
    const int64_t cells = layout_.sequences * layout_.most, width = shape_.dim / shape_.heads;
    const at::Tensor maps =
        at::linear(x, P("self_attn.in_proj_weight"), P("self_attn.in_proj_bias"));
    // [3, sequences, heads, most, width]
    const at::Tensor table = at::zeros({cells, 3 * shape_.dim}, x.options().requires_grad(false))
                                 .index_copy(0, layout_.cells, maps)
                                 .view({layout_.sequences, layout_.most, 3, shape_.heads, width})
                                 .permute({2, 0, 3, 1, 4});
    const int64_t queries = only_first ? 1 : layout_.most;
    const at::Tensor query = table[0].narrow(2, 0, queries);
    const at::Tensor scores =
        at::matmul(query, table[1].transpose(-1, -2)) / std::sqrt(static_cast<double>(width)) +
        layout_.bias;
    at::Tensor shares = at::softmax(scores, -1);
    if (seed_ != 0) {
      shares = Drop(shares.reshape({-1, layout_.most}), kAttention, AttentionRows(queries))
                   .view(shares.sizes());
    }
    const at::Tensor heads = at::matmul(shares, table[2]).transpose(1, 2).reshape({-1, shape_.dim});
    return only_first ? heads : heads.index_select(0, layout_.cells);
  }

  std::string name_;
  int64_t index_;
  const TransformerShape& shape_;
  const NamedTensors& parameters_;
  const Layout& layout_;
  uint64_t seed_;
};

std::string LayerName(const std::string& name, int64_t layer) {
  return StrCat(name, ".layers.", layer);
}

}  // namespace

Shapes TransformerShapes(const std::string& name, const TransformerShape& shape) {
  const int64_t dim = shape.dim, hidden = shape.hidden;
  Shapes shapes;
  for (int64_t l = 0; l < shape.layers; ++l) {
    const std::string layer = LayerName(name, l) + ".";
    shapes[layer + "self_attn.in_proj_weight"] = {3 * dim, dim};
    shapes[layer + "self_attn.in_proj_bias"] = {3 * dim};
    shapes[layer + "self_attn.out_proj.weight"] = {dim, dim};
    shapes[layer + "self_attn.out_proj.bias"] = {dim};
    shapes[layer + "linear1.weight"] = {hidden, dim};
    shapes[layer + "linear1.bias"] = {hidden};
    shapes[layer + "linear2.weight"] = {dim, hidden};
    shapes[layer + "linear2.bias"] = {dim};
    for (const char* part : {"norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"}) {
      shapes[layer + part] = {dim};
    }
  }
  return shapes;
}

void InitTransformer(const std::string& name, const TransformerShape& shape, ParameterInit* init) {
  const int64_t dim = shape.dim;
  for (int64_t l = 0; l < shape.layers; ++l) {
    const std::string layer = LayerName(name, l) + ".";
    // As torch.nn.MultiheadAttention: Xavier-uniform maps, biases of 0.
    init->Uniform(layer + "self_attn.in_proj_weight", {3 * dim, dim},
                  std::sqrt(6.0 / static_cast<double>(4 * dim)));
    init->Fill(layer + "self_attn.in_proj_bias", {3 * dim}, 0);
    init->Uniform(layer + "self_attn.out_proj.weight", {dim, dim},
                  1 / std::sqrt(static_cast<double>(dim)));
    init->Fill(layer + "self_attn.out_proj.bias", {dim}, 0);
    init->Linear(layer + "linear1", shape.hidden, dim);
    init->Linear(layer + "linear2", dim, shape.hidden);
    for (const char* norm : {"norm1", "norm2"}) {
      init->Fill(layer + norm + ".weight", {dim}, 1);
      init->Fill(layer + norm + ".bias", {dim}, 0);
    }
  }
}

at::Tensor FirstOutputs(const std::string& name, const TransformerShape& shape,
                        const NamedTensors& parameters, const at::Tensor& x,
                        const std::vector<int64_t>& lengths, const std::vector<int64_t>& keys,
                        uint64_t dropout_seed) {
  const Layout layout = LayoutOf(lengths, keys);
  at::Tensor hidden = x;
  for (int64_t l = 0; l < shape.layers; ++l) {
    const Layer layer(LayerName(name, l), l, shape, parameters, layout, dropout_seed);
    hidden = layer(hidden, l + 1 == shape.layers);
  }
  return hidden;
}

}  // namespace flame
