#include "encoders/visit_encoder.h"

namespace flame {

CodeCounts CountsOf(const Corpus& corpus) {
  return {corpus.diagnoses.num_slots(), corpus.procedures.num_slots(), corpus.drugs.size()};
}

}  // namespace flame
