// The rows of encoders that predict drugs by themselves.
#ifndef FLAME_RECOMMEND_EVALUATION_ENCODER_ROWS_H_
#define FLAME_RECOMMEND_EVALUATION_ENCODER_ROWS_H_

#include "encoders/micron.h"
#include "encoders/raremed.h"
#include "recommend/evaluation/rows.h"

namespace flame {

// Returns an encoder's logits, [visits, drugs], row by row.
std::vector<float> EncoderLogits(const VisitEncoder& encoder, const Corpus& corpus,
                                 const std::vector<int32_t>& visits);

// The drugs whose logit is above a cut that is best on the validation visits. Each drug of the
// previous visit has a bonus first, likewise chosen: MICRON tells what changes, and keeps the rest
// (the authors have two cuts, 0.8 to add a drug and 0.2 to drop one).
Row MicronRow(const Field& field, const Micron& micron);
// The drugs whose logit is above a cut that is best on the validation visits.
Row RaremedRow(const Field& field, const Raremed& raremed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_EVALUATION_ENCODER_ROWS_H_
