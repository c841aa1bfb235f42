// RAREMed: a Transformer encoder of a visit's codes (Zhao et al. 2024, arXiv 2403.17745; the
// authors' code, github.com/zzhUSTC2016/RAREMed).
//
// The input is [CLS] diagnoses [SEP] procedures. A token's vector is that of its code, plus that of
// its place in its block, [CLS] and [SEP] being at place 0, plus that of its segment: 0 up to
// [SEP], 1 behind it. The layers are torch.nn.TransformerEncoderLayer's: norms behind, ReLU. The
// visit's vector is the output at [CLS].
#ifndef FLAME_ENCODERS_RAREMED_H_
#define FLAME_ENCODERS_RAREMED_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "encoders/options.h"
#include "encoders/visit_encoder.h"

namespace flame {

// A visit's codes as RAREMed reads them. `key` tells it from others: dropout masks depend on it.
struct CodedVisit {
  std::vector<int32_t> diagnoses, procedures;
  int64_t key = 0;
};

// Parameters are named as in the authors' state dict. Each vocabulary has one more code, [MASK],
// behind the others.
class Raremed : public VisitEncoder {
 public:
  // Draws the authors' starting values.
  static Raremed Random(const CodeCounts& counts, const RaremedOptions& options, uint64_t seed);
  // Reads a file of Save, or of the authors' state dict, for `counts` codes.
  static Raremed Load(const std::filesystem::path& file, const CodeCounts& counts,
                      const RaremedOptions& options);
  Raremed(NamedTensors parameters, const CodeCounts& counts, const RaremedOptions& options);

  // (1 - margin_weight) cross-entropy + margin_weight multi-label margin + ddi_weight 0.0005 DDI
  // sum.
  at::Tensor Loss(const Corpus& corpus, const std::vector<int32_t>& visits,
                  uint64_t dropout_seed) const override;
  at::Tensor Logits(const Corpus& corpus, const std::vector<int32_t>& visits) const override;
  // Returns the visits' vectors, [visits, dim], without dropout and gradient.
  at::Tensor Vectors(const Corpus& corpus, const std::vector<int32_t>& visits) const;

  // The pretraining tasks; losses are [visits].
  // Sequence matching: the cross-entropy of "these procedures belong to these diagnoses", for the
  // visit as it is and for one whose diagnoses or procedures are those of another of `pool`, drawn
  // by `seed`; the mean of both.
  at::Tensor MatchingLoss(const Corpus& corpus, const std::vector<int32_t>& visits,
                          const std::vector<int32_t>& pool, uint64_t seed) const;
  // Self-reconstruction: the mean cross-entropy of each code's presence, from a visit of which a
  // share of the codes, drawn by `seed`, is hidden as BERT does: 8 of 10 become [MASK], 1 another
  // code, 1 stays.
  at::Tensor ReconstructionLoss(const Corpus& corpus, const std::vector<int32_t>& visits,
                                uint64_t seed) const;

  // Returns the tokens that a visit becomes.
  static int64_t LengthOf(const Visit& visit);

 private:
  at::Tensor Encode(const std::vector<CodedVisit>& visits, uint64_t dropout_seed) const;
  CodedVisit CodesOf(const Corpus& corpus, int32_t visit) const;

  CodeCounts counts_;
  RaremedOptions options_;
};

// Most codes of a block; a visit with more keeps the first ones.
inline constexpr int64_t kMostPlaces = 1000;

}  // namespace flame

#endif  // FLAME_ENCODERS_RAREMED_H_
