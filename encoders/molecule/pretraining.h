// Mole-BERT's pretraining (Xia et al. 2023, "Mole-BERT: rethinking pre-training graph neural
// networks for molecules"; the authors' code): a tokenizer of atoms, then a network that predicts
// the tokens of hidden atoms and tells views of molecules apart.
#ifndef FLAME_ENCODERS_MOLECULE_PRETRAINING_H_
#define FLAME_ENCODERS_MOLECULE_PRETRAINING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "encoders/molecule/gin.h"
#include "encoders/whole_model.h"

namespace flame {

inline constexpr int64_t kAtomTokens = 512;

// A graph network whose atoms' vectors are replaced by the nearest of kAtomTokens code vectors,
// from which decoders tell element, chirality and bond types again. Carbon, nitrogen, oxygen and
// the others have code vectors of their own: 0..376, 378..432, 434..487 and 489..510.
class AtomTokenizer : public WholeModel {
 public:
  static AtomTokenizer Random(const GinShape& shape, uint64_t seed);
  AtomTokenizer(NamedTensors parameters, NamedTensors buffers, const GinShape& shape);

  // The mean cross-entropies of elements, chiralities and bond types, plus the mean squared
  // distance of the code vectors from the atoms' (fixed) vectors and 1/4 of that of the atoms'
  // vectors from the (fixed) code vectors. A scalar, of the batch as a whole. Updates the buffers.
  at::Tensor Loss(const GraphBatch& batch) const;
  // Returns the token of each atom, int64 [N].
  at::Tensor Tokens(const GraphBatch& batch) const;

  const NamedTensors& buffers() const { return buffers_; }

 private:
  at::Tensor NearestCodes(const at::Tensor& atoms, const GraphBatch& batch) const;
  at::Tensor Decode(const char* name, const at::Tensor& codes, const GraphBatch& batch) const;

  NamedTensors buffers_;
  GinShape shape_;
};

// A molecule of which some atoms, and all bonds of these, are hidden.
struct HiddenAtoms {
  MoleculeGraph graph;         // the hidden atoms and bonds as such
  std::vector<int64_t> atoms;  // those that are hidden
  std::vector<int64_t> bonds;  // those that are hidden
};
// Hides floor(share * atoms) + 1 atoms, drawn by the stream.
HiddenAtoms Hide(const MoleculeGraph& graph, double share, RandomStream* random);

// The graph network whose vectors are the result.
class MoleculeEncoder : public WholeModel {
 public:
  static MoleculeEncoder Random(const GinShape& shape, uint64_t seed);
  // Reads a file of Save, or of the authors' state dict.
  static MoleculeEncoder Load(const std::filesystem::path& file, const GinShape& shape);
  MoleculeEncoder(NamedTensors parameters, NamedTensors buffers, const GinShape& shape);

  // Two views of each molecule, with 15 % and 30 % of the atoms hidden. For both the cross-entropy
  // of the hidden atoms' tokens and of the hidden bonds' types; the contrast of the two views'
  // projected vectors within the batch (temperature 0.1); and 0.1 times the triplet loss, without
  // margin, by which the whole molecule is nearer to the first view than to the second. A scalar,
  // of the batch as a whole. `numbers` tell molecules apart in the draws of `seed`. Updates the
  // buffers.
  at::Tensor Loss(const std::vector<const MoleculeGraph*>& graphs,
                  const std::vector<int32_t>& numbers, const AtomTokenizer& tokenizer,
                  uint64_t seed) const;
  // Returns the molecules' vectors, [molecules, dim], without gradient.
  at::Tensor Vectors(const std::vector<const MoleculeGraph*>& graphs) const;
  // Returns the vector of a molecule of one hidden atom, [dim]: what is learnt of an unknown one.
  at::Tensor UnknownVector() const;

  // Writes the graph network, named as in the authors' state dict, without the heads.
  void Save(const std::filesystem::path& file) const override;
  const NamedTensors& buffers() const { return buffers_; }

 private:
  struct View;
  View MakeView(const std::vector<const MoleculeGraph*>& graphs,
                const std::vector<int32_t>& numbers, double share, uint64_t seed,
                uint32_t number) const;
  at::Tensor Project(const at::Tensor& atoms, const GraphBatch& batch) const;
  at::Tensor HiddenLoss(const View& view, const at::Tensor& tokens, const char* atoms_head,
                        const char* bonds_head) const;

  NamedTensors buffers_;
  GinShape shape_;
};

}  // namespace flame

#endif  // FLAME_ENCODERS_MOLECULE_PRETRAINING_H_
