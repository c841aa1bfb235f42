// MICRON: medication change prediction with recurrent residual networks (Yang et al. 2021,
// arXiv 2105.01876; the authors' code, github.com/ycq091044/MICRON).
//
//   health(visit) = H [sum of diagnosis vectors; sum of procedure vectors] + h
//   drugs(health) = W2 relu(W1 health + b1) + b2
//   now = drugs(health(visit)), last = drugs(health(previous visit)),
//   residual = drugs(health(visit) - health(previous visit))
// A first visit has vectors of 0 in place of the previous visit's.
#ifndef FLAME_ENCODERS_MICRON_H_
#define FLAME_ENCODERS_MICRON_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "encoders/options.h"
#include "encoders/visit_encoder.h"

namespace flame {

// Parameters are named as in the authors' state dict: embeddings.0 (diagnoses) and embeddings.1
// (procedures), health_net.0, prescription_net.0 and prescription_net.2.
class Micron : public VisitEncoder {
 public:
  // Draws the authors' starting values.
  static Micron Random(const CodeCounts& counts, const MicronOptions& options, uint64_t seed);
  // Reads a file of Save, or of the authors' state dict, for `counts` codes.
  static Micron Load(const std::filesystem::path& file, const CodeCounts& counts,
                     const MicronOptions& options);
  Micron(NamedTensors parameters, const MicronOptions& options);

  // The mean of four losses, of which 3/4 of the first two are the visit's and 1/4 the previous
  // visit's: cross-entropy, 0.05 times the multi-label margin, the squared error of
  // sigmoid(last + residual) against sigmoid(now) divided by the number of drugs, and the DDI sum
  // divided by that number if the drugs with P >= 1/2 have a DDI rate above 0.08. The authors leave
  // first visits out; here they have the visit's own parts, since their codes want vectors too.
  at::Tensor Loss(const Corpus& corpus, const std::vector<int32_t>& visits,
                  uint64_t dropout_seed) const override;
  // The authors' prediction: `now` of the patient's first visit plus the residuals since.
  at::Tensor Logits(const Corpus& corpus, const std::vector<int32_t>& visits) const override;

  // The vectors of the codes, [diagnoses, dim] and [procedures, dim].
  at::Tensor DiagnosisVectors() const { return (*this)["embeddings.0.weight"].detach(); }
  at::Tensor ProcedureVectors() const { return (*this)["embeddings.1.weight"].detach(); }

 private:
  at::Tensor Sum(const Corpus& corpus, const std::vector<int32_t>& visits,
                 std::vector<int32_t> Visit::*list, const char* table, uint64_t dropout_seed,
                 uint32_t mask) const;
  at::Tensor Health(const Corpus& corpus, const std::vector<int32_t>& visits, uint64_t dropout_seed,
                    uint32_t first_mask) const;
  at::Tensor Drugs(const at::Tensor& health) const;

  double dropout_;
};

}  // namespace flame

#endif  // FLAME_ENCODERS_MICRON_H_
