#include "encoders/molecule/gin.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "base/error.h"
#include "encoders/long_tensor.h"

namespace flame {
namespace {

constexpr int64_t kChiralities = 3, kDirections = 3;

std::string Layer(const std::string& prefix, const char* what, int64_t layer) {
  return StrCat(prefix, what, ".", layer);
}

// As torch.nn.init.xavier_uniform_ of a matrix.
void Xavier(const std::string& name, int64_t rows, int64_t columns, ParameterInit* init) {
  init->Uniform(name, {rows, columns}, std::sqrt(6.0 / static_cast<double>(rows + columns)));
}

at::Tensor Map(const std::string& name, const NamedTensors& parameters, const at::Tensor& x) {
  return at::linear(x, parameters.at(name + ".weight"), parameters.at(name + ".bias"));
}

}  // namespace

GraphBatch BatchOf(const std::vector<const MoleculeGraph*>& graphs) {
  std::vector<int64_t> atoms, from, to, bonds, owners;
  int64_t first = 0;
  for (size_t m = 0; m < graphs.size(); ++m) {
    for (const Atom& atom : graphs[m]->atoms) {
      // The authors' table has no vector for a chirality that is neither.
      atoms.insert(atoms.end(), {atom.element, atom.chirality < kChiralities ? atom.chirality : 0});
      owners.push_back(static_cast<int64_t>(m));
    }
    for (const Bond& bond : graphs[m]->bonds) {
      from.insert(from.end(), {first + bond.from, first + bond.to});
      to.insert(to.end(), {first + bond.to, first + bond.from});
      bonds.insert(bonds.end(), {bond.type, bond.direction, bond.type, bond.direction});
    }
    first += static_cast<int64_t>(graphs[m]->atoms.size());
  }
  return {LongTensor(atoms).view({-1, 2}), LongTensor(from),   LongTensor(to),
          LongTensor(bonds).view({-1, 2}), LongTensor(owners), static_cast<int64_t>(graphs.size())};
}

Shapes GinStepParameters(const std::string& name, int64_t dim, int64_t out) {
  return {{name + ".mlp.0.weight", {2 * dim, dim}},
          {name + ".mlp.0.bias", {2 * dim}},
          {name + ".mlp.2.weight", {out, 2 * dim}},
          {name + ".mlp.2.bias", {out}},
          {name + ".edge_embedding1.weight", {kBondTypes, dim}},
          {name + ".edge_embedding2.weight", {kDirections, dim}}};
}

void InitGinStep(const std::string& name, int64_t dim, int64_t out, ParameterInit* init) {
  init->Linear(name + ".mlp.0", 2 * dim, dim);
  init->Linear(name + ".mlp.2", out, 2 * dim);
  Xavier(name + ".edge_embedding1.weight", kBondTypes, dim, init);
  Xavier(name + ".edge_embedding2.weight", kDirections, dim, init);
}

Shapes GinParameters(const std::string& prefix, const GinShape& shape) {
  Shapes shapes = {{prefix + "x_embedding1.weight", {kElements, shape.dim}},
                   {prefix + "x_embedding2.weight", {kChiralities, shape.dim}}};
  for (int64_t l = 0; l < shape.layers; ++l) {
    shapes.merge(GinStepParameters(Layer(prefix, "gnns", l), shape.dim, shape.dim));
    shapes[Layer(prefix, "batch_norms", l) + ".weight"] = {shape.dim};
    shapes[Layer(prefix, "batch_norms", l) + ".bias"] = {shape.dim};
  }
  return shapes;
}

Shapes GinBuffers(const std::string& prefix, const GinShape& shape) {
  Shapes shapes;
  for (int64_t l = 0; l < shape.layers; ++l) {
    shapes[Layer(prefix, "batch_norms", l) + ".running_mean"] = {shape.dim};
    shapes[Layer(prefix, "batch_norms", l) + ".running_var"] = {shape.dim};
  }
  return shapes;
}

void InitGin(const std::string& prefix, const GinShape& shape, ParameterInit* init) {
  Xavier(prefix + "x_embedding1.weight", kElements, shape.dim, init);
  Xavier(prefix + "x_embedding2.weight", kChiralities, shape.dim, init);
  for (int64_t l = 0; l < shape.layers; ++l) {
    InitGinStep(Layer(prefix, "gnns", l), shape.dim, shape.dim, init);
    init->Fill(Layer(prefix, "batch_norms", l) + ".weight", {shape.dim}, 1);
    init->Fill(Layer(prefix, "batch_norms", l) + ".bias", {shape.dim}, 0);
  }
}

NamedTensors NewGinBuffers(const std::string& prefix, const GinShape& shape) {
  NamedTensors buffers;
  for (const auto& [name, extents] : GinBuffers(prefix, shape)) {
    buffers[name] =
        name.ends_with("var") ? at::ones(extents, at::kFloat) : at::zeros(extents, at::kFloat);
  }
  return buffers;
}

at::Tensor GinStep(const std::string& name, const NamedTensors& parameters, const at::Tensor& h,
                   const GraphBatch& batch) {
  const at::Tensor& types = parameters.at(name + ".edge_embedding1.weight");
  const at::Tensor& directions = parameters.at(name + ".edge_embedding2.weight");
  const at::Tensor messages = h.index_select(0, batch.from) +
                              types.index_select(0, batch.bonds.select(1, 0)) +
                              directions.index_select(0, batch.bonds.select(1, 1));
  const at::Tensor sums = (h + types[kSelfBond] + directions[0]).index_add(0, batch.to, messages);
  return Map(name + ".mlp.2", parameters, at::relu(Map(name + ".mlp.0", parameters, sums)));
}

at::Tensor Gin::Atoms(const GraphBatch& batch) const {
  constexpr double kMomentum = 0.1, kEpsilon = 1e-5;
  at::Tensor h =
      parameters_.at(prefix_ + "x_embedding1.weight").index_select(0, batch.atoms.select(1, 0)) +
      parameters_.at(prefix_ + "x_embedding2.weight").index_select(0, batch.atoms.select(1, 1));
  for (int64_t l = 0; l < shape_.layers; ++l) {
    h = GinStep(Layer(prefix_, "gnns", l), parameters_, h, batch);
    const std::string norm = Layer(prefix_, "batch_norms", l);
    h = at::batch_norm(h, parameters_.at(norm + ".weight"), parameters_.at(norm + ".bias"),
                       buffers_.at(norm + ".running_mean"), buffers_.at(norm + ".running_var"),
                       training_, kMomentum, kEpsilon, /*cudnn_enabled=*/false);
    if (l + 1 < shape_.layers) h = at::relu(h);
  }
  return h;
}

at::Tensor MeanOfAtoms(const at::Tensor& atoms, const GraphBatch& batch) {
  const auto sum = [&](const at::Tensor& rows) {
    return at::zeros({batch.num_molecules, rows.size(1)}, at::kFloat)
        .index_add(0, batch.owners, rows);
  };
  return sum(atoms) / sum(at::ones({atoms.size(0), 1}, at::kFloat));
}

}  // namespace flame
