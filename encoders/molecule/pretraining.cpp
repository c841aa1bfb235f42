#include "encoders/molecule/pretraining.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmin.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/prelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/triplet_margin_loss.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/files/safetensors.h"
#include "encoders/long_tensor.h"

namespace flame {
namespace {

constexpr int64_t kDecodedElements = 119, kDecodedChiralities = 4, kDecodedBonds = 4;
constexpr double kCommitment = 0.25, kTemperature = 0.1, kTripletWeight = 0.1;
constexpr double kFirstShare = 0.15, kSecondShare = 0.30;

// The code vectors of an element: [begin, end).
struct Codes {
  int64_t element, begin, end;
};
constexpr Codes kOthers = {-1, 489, 511};
constexpr Codes kOwnCodes[] = {{5, 0, 377}, {6, 378, 433}, {7, 434, 488}};

const char* const kAtomHeads[] = {"atoms1", "atoms2"};
const char* const kBondHeads[] = {"bonds1", "bonds2"};

// A decoder of Mole-BERT: PReLU, a linear map without bias, a message passing step.
void InitDecoder(const std::string& name, int64_t dim, int64_t out, ParameterInit* init) {
  init->Fill(name + ".activation.weight", {1}, 0.25);
  init->Uniform(name + ".enc_to_dec.weight", {dim, dim}, 1 / std::sqrt(static_cast<double>(dim)));
  InitGinStep(name + ".conv", dim, out, init);
}

// Squared distances of rows to code vectors, [rows, codes].
at::Tensor Distances(const at::Tensor& rows, const at::Tensor& codes) {
  return rows.square().sum(1, /*keepdim=*/true) + codes.square().sum(1) -
         2 * at::matmul(rows, codes.t());
}

at::Tensor CrossEntropyOrZero(const at::Tensor& logits, const at::Tensor& labels) {
  if (labels.numel() == 0) return logits.sum() * 0;
  return at::cross_entropy_loss(logits, labels);
}

// Bonds in one direction: every second edge of a batch.
at::Tensor EachBondOnce(const at::Tensor& edges) { return edges.slice(0, 0, edges.size(0), 2); }

}  // namespace

AtomTokenizer::AtomTokenizer(NamedTensors parameters, NamedTensors buffers, const GinShape& shape)
    : WholeModel(std::move(parameters)), buffers_(std::move(buffers)), shape_(shape) {}

AtomTokenizer AtomTokenizer::Random(const GinShape& shape, uint64_t seed) {
  ParameterInit init(seed);
  InitGin("model.", shape, &init);
  init.Normal("vq_layer.embeddings.weight", {kAtomTokens, shape.dim});
  InitDecoder("elements", shape.dim, kDecodedElements, &init);
  InitDecoder("chiralities", shape.dim, kDecodedChiralities, &init);
  init.Linear("bonds", kDecodedBonds, shape.dim);
  return {init.Take(), NewGinBuffers("model.", shape), shape};
}

at::Tensor AtomTokenizer::NearestCodes(const at::Tensor& atoms, const GraphBatch& batch) const {
  const c10::NoGradGuard no_grad;
  const at::Tensor& table = (*this)["vq_layer.embeddings.weight"];
  const at::Tensor elements = batch.atoms.select(1, 0);
  const auto nearest = [&](const Codes& codes) {
    return Distances(atoms, table.narrow(0, codes.begin, codes.end - codes.begin)).argmin(1) +
           codes.begin;
  };
  at::Tensor tokens = nearest(kOthers);
  for (const Codes& codes : kOwnCodes) {
    tokens = at::where(elements == codes.element, nearest(codes), tokens);
  }
  return tokens;
}

at::Tensor AtomTokenizer::Decode(const char* name, const at::Tensor& codes,
                                 const GraphBatch& batch) const {
  const std::string prefix = name;
  const at::Tensor active = at::prelu(codes, (*this)[prefix + ".activation.weight"]);
  return GinStep(prefix + ".conv", parameters(),
                 at::linear(active, (*this)[prefix + ".enc_to_dec.weight"]), batch);
}

at::Tensor AtomTokenizer::Loss(const GraphBatch& batch) const {
  const at::Tensor atoms =
      Gin("model.", shape_, parameters(), buffers_, /*training=*/true).Atoms(batch);
  const at::Tensor codes =
      (*this)["vq_layer.embeddings.weight"].index_select(0, NearestCodes(atoms.detach(), batch));
  const at::Tensor distance =
      at::mse_loss(codes, atoms.detach()) + kCommitment * at::mse_loss(atoms, codes.detach());
  // The gradient passes the choice of a code as if the atom's own vector had been kept.
  const at::Tensor e = atoms + (codes - atoms).detach();
  const at::Tensor from = EachBondOnce(batch.from), to = EachBondOnce(batch.to);
  const at::Tensor ends = e.index_select(0, from) + e.index_select(0, to);
  return distance + at::cross_entropy_loss(Decode("elements", e, batch), batch.atoms.select(1, 0)) +
         at::cross_entropy_loss(Decode("chiralities", e, batch), batch.atoms.select(1, 1)) +
         CrossEntropyOrZero(Linear("bonds", ends), EachBondOnce(batch.bonds).select(1, 0));
}

at::Tensor AtomTokenizer::Tokens(const GraphBatch& batch) const {
  const c10::NoGradGuard no_grad;
  return NearestCodes(
      Gin("model.", shape_, parameters(), buffers_, /*training=*/false).Atoms(batch), batch);
}

HiddenAtoms Hide(const MoleculeGraph& graph, double share, RandomStream* random) {
  HiddenAtoms hidden = {graph, {}, {}};
  std::vector<int64_t> order(graph.atoms.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  random->Shuffle(&order);
  const double count = std::floor(share * static_cast<double>(order.size())) + 1;
  order.resize(std::min(order.size(), static_cast<size_t>(count)));
  std::sort(order.begin(), order.end());
  hidden.atoms = order;
  std::vector<bool> is_hidden(graph.atoms.size());
  for (const int64_t atom : order) {
    is_hidden[atom] = true;
    hidden.graph.atoms[atom] = {kHiddenElement, 0};
  }
  for (size_t b = 0; b < graph.bonds.size(); ++b) {
    Bond& bond = hidden.graph.bonds[b];
    if (!is_hidden[bond.from] && !is_hidden[bond.to]) continue;
    bond.type = kHiddenBond;
    bond.direction = 0;
    hidden.bonds.push_back(static_cast<int64_t>(b));
  }
  return hidden;
}

struct MoleculeEncoder::View {
  GraphBatch batch;
  at::Tensor hidden;      // int64: places of hidden atoms in the batch
  at::Tensor from, to;    // int64: ends of hidden bonds
  at::Tensor bond_types;  // int64: what the hidden bonds are
  at::Tensor atoms;       // the network's vectors, [N, dim]
};

MoleculeEncoder::MoleculeEncoder(NamedTensors parameters, NamedTensors buffers,
                                 const GinShape& shape)
    : WholeModel(std::move(parameters)), buffers_(std::move(buffers)), shape_(shape) {}

MoleculeEncoder MoleculeEncoder::Random(const GinShape& shape, uint64_t seed) {
  ParameterInit init(seed);
  InitGin("", shape, &init);
  init.Linear("projection_head.0", shape.dim, shape.dim);
  init.Linear("projection_head.2", shape.dim, shape.dim);
  for (const char* head : kAtomHeads) init.Linear(head, kAtomTokens, shape.dim);
  for (const char* head : kBondHeads) init.Linear(head, kDecodedBonds, shape.dim);
  return {init.Take(), NewGinBuffers("", shape), shape};
}

MoleculeEncoder MoleculeEncoder::Load(const std::filesystem::path& file, const GinShape& shape) {
  return {ReadParameters(file, GinParameters("", shape)),
          ReadParameters(file, GinBuffers("", shape)), shape};
}

void MoleculeEncoder::Save(const std::filesystem::path& file) const {
  NamedTensors network = buffers_;
  for (const auto& [name, extents] : GinParameters("", shape_)) network[name] = (*this)[name];
  WriteTensors(network, file);
}

MoleculeEncoder::View MoleculeEncoder::MakeView(const std::vector<const MoleculeGraph*>& graphs,
                                                const std::vector<int32_t>& numbers, double share,
                                                uint64_t seed, uint32_t number) const {
  std::vector<HiddenAtoms> hidden;
  std::vector<int64_t> places, from, to, types;
  int64_t first = 0;
  for (size_t m = 0; m < graphs.size(); ++m) {
    RandomStream random(seed, kPretraining, static_cast<uint32_t>(numbers[m]), number);
    hidden.push_back(Hide(*graphs[m], share, &random));
    for (const int64_t atom : hidden.back().atoms) places.push_back(first + atom);
    for (const int64_t bond : hidden.back().bonds) {
      const Bond& known = graphs[m]->bonds[bond];
      from.push_back(first + known.from);
      to.push_back(first + known.to);
      types.push_back(known.type);
    }
    first += static_cast<int64_t>(graphs[m]->atoms.size());
  }
  std::vector<const MoleculeGraph*> shown;
  for (const HiddenAtoms& each : hidden) shown.push_back(&each.graph);
  View view = {BatchOf(shown), LongTensor(places), LongTensor(from),
               LongTensor(to), LongTensor(types),  {}};
  view.atoms = Gin("", shape_, parameters(), buffers_, /*training=*/true).Atoms(view.batch);
  return view;
}

at::Tensor MoleculeEncoder::Project(const at::Tensor& atoms, const GraphBatch& batch) const {
  return Linear("projection_head.2",
                at::relu(Linear("projection_head.0", MeanOfAtoms(atoms, batch))));
}

at::Tensor MoleculeEncoder::HiddenLoss(const View& view, const at::Tensor& tokens,
                                       const char* atoms_head, const char* bonds_head) const {
  const at::Tensor ends =
      view.atoms.index_select(0, view.from) + view.atoms.index_select(0, view.to);
  return at::cross_entropy_loss(Linear(atoms_head, view.atoms.index_select(0, view.hidden)),
                                tokens.index_select(0, view.hidden)) +
         CrossEntropyOrZero(Linear(bonds_head, ends), view.bond_types);
}

at::Tensor MoleculeEncoder::Loss(const std::vector<const MoleculeGraph*>& graphs,
                                 const std::vector<int32_t>& numbers,
                                 const AtomTokenizer& tokenizer, uint64_t seed) const {
  const View first = MakeView(graphs, numbers, kFirstShare, seed, 1);
  const View second = MakeView(graphs, numbers, kSecondShare, seed, 2);
  const GraphBatch whole = BatchOf(graphs);
  const at::Tensor tokens = tokenizer.Tokens(whole);
  const at::Tensor z1 = Project(first.atoms, first.batch);
  const at::Tensor z2 = Project(second.atoms, second.batch);
  at::Tensor z;
  {
    const c10::NoGradGuard no_grad;
    z = Project(Gin("", shape_, parameters(), buffers_, /*training=*/true).Atoms(whole), whole);
  }
  const auto unit = [](const at::Tensor& rows) {
    return rows / rows.norm(2, {1}, /*keepdim=*/true);
  };
  at::Tensor loss = HiddenLoss(first, tokens, kAtomHeads[0], kBondHeads[0]) +
                    HiddenLoss(second, tokens, kAtomHeads[1], kBondHeads[1]) +
                    kTripletWeight * at::triplet_margin_loss(z, z1, z2, /*margin=*/0);
  // One molecule has no others to be told apart from.
  if (graphs.size() > 1) {
    const at::Tensor likeness = (at::matmul(unit(z1), unit(z2).t()) / kTemperature).exp();
    const at::Tensor own = likeness.diagonal();
    loss = loss - (own / (likeness.sum(1) - own)).log().mean();
  }
  return loss;
}

at::Tensor MoleculeEncoder::Vectors(const std::vector<const MoleculeGraph*>& graphs) const {
  const c10::NoGradGuard no_grad;
  // Some at a time: memory.
  constexpr size_t kMoleculesAtOnce = 64;
  std::vector<at::Tensor> parts;
  for (size_t begin = 0; begin < graphs.size(); begin += kMoleculesAtOnce) {
    const auto first = graphs.begin() + static_cast<int64_t>(begin);
    const auto last =
        graphs.begin() + static_cast<int64_t>(std::min(begin + kMoleculesAtOnce, graphs.size()));
    const GraphBatch batch = BatchOf({first, last});
    parts.push_back(MeanOfAtoms(
        Gin("", shape_, parameters(), buffers_, /*training=*/false).Atoms(batch), batch));
  }
  return parts.empty() ? at::zeros({0, shape_.dim}, at::kFloat) : at::cat(parts);
}

at::Tensor MoleculeEncoder::UnknownVector() const {
  const MoleculeGraph hidden = {{{kHiddenElement, 0}}, {}};
  return Vectors({&hidden})[0];
}

}  // namespace flame
