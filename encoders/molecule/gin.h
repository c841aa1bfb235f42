// The graph isomorphism network of Mole-BERT (Xu et al. 2019, Hu et al. 2020; the authors' code).
//
//   h_0 = element vector + chirality vector
//   h   = MLP(sum over neighbours j, and the atom itself, of h_j + bond type vector + direction
//   vector) h   = BatchNorm(h), then ReLU but in the last layer
// The bond of an atom with itself has a type of its own. A molecule's vector is the mean over its
// atoms.
#ifndef FLAME_ENCODERS_MOLECULE_GIN_H_
#define FLAME_ENCODERS_MOLECULE_GIN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "encoders/molecule/graph.h"
#include "encoders/whole_model.h"

namespace flame {

inline constexpr int64_t kElements = 120;  // the last stands for a hidden atom
inline constexpr int64_t kHiddenElement = 119;
inline constexpr int64_t kBondTypes = 6;
inline constexpr int64_t kSelfBond = 4, kHiddenBond = 5;

// Several molecules as one graph. Each bond is there in both directions, one behind the other.
struct GraphBatch {
  at::Tensor atoms;     // int64 [N, 2]: element, chirality
  at::Tensor from, to;  // int64 [E]
  at::Tensor bonds;     // int64 [E, 2]: type, direction
  at::Tensor owners;    // int64 [N]: the molecule of each atom
  int64_t num_molecules = 0;
};
GraphBatch BatchOf(const std::vector<const MoleculeGraph*>& graphs);

struct GinShape {
  int64_t dim = 300, layers = 5;
};

// Parameters below `prefix`, named as in the authors' state dict: x_embedding1, gnns.0.mlp.0, ...
// Buffers ("batch_norms.0.running_mean" and "running_var") are no parameters.
Shapes GinParameters(const std::string& prefix, const GinShape& shape);
Shapes GinBuffers(const std::string& prefix, const GinShape& shape);
void InitGin(const std::string& prefix, const GinShape& shape, ParameterInit* init);
NamedTensors NewGinBuffers(const std::string& prefix, const GinShape& shape);

class Gin {
 public:
  // Keeps references. In training, normalises by the batch and updates the buffers; else by them.
  Gin(std::string prefix, const GinShape& shape, const NamedTensors& parameters,
      const NamedTensors& buffers, bool training)
      : prefix_(std::move(prefix)),
        shape_(shape),
        parameters_(parameters),
        buffers_(buffers),
        training_(training) {}
  at::Tensor Atoms(const GraphBatch& batch) const;  // [N, dim]

 private:
  std::string prefix_;
  GinShape shape_;
  const NamedTensors &parameters_, &buffers_;
  bool training_;
};

// One message passing step with the parameters NAME.mlp.0, NAME.mlp.2, NAME.edge_embedding1 and
// NAME.edge_embedding2, [N, out].
at::Tensor GinStep(const std::string& name, const NamedTensors& parameters, const at::Tensor& h,
                   const GraphBatch& batch);
Shapes GinStepParameters(const std::string& name, int64_t dim, int64_t out);
void InitGinStep(const std::string& name, int64_t dim, int64_t out, ParameterInit* init);

// The mean over each molecule's atoms, [molecules, dim].
at::Tensor MeanOfAtoms(const at::Tensor& atoms, const GraphBatch& batch);

}  // namespace flame

#endif  // FLAME_ENCODERS_MOLECULE_GIN_H_
