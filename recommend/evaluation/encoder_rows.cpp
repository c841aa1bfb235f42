#include "recommend/evaluation/encoder_rows.h"

#include <algorithm>
#include <utility>

#include "recommend/baselines/simple.h"

namespace flame {

std::vector<float> EncoderLogits(const VisitEncoder& encoder, const Corpus& corpus,
                                 const std::vector<int32_t>& visits) {
  // Some at a time: memory.
  constexpr size_t kVisitsAtOnce = 512;
  std::vector<float> logits;
  for (size_t begin = 0; begin < visits.size(); begin += kVisitsAtOnce) {
    const auto first = visits.begin() + static_cast<int64_t>(begin);
    const auto last =
        visits.begin() + static_cast<int64_t>(std::min(begin + kVisitsAtOnce, visits.size()));
    const at::Tensor part = encoder.Logits(corpus, {first, last}).contiguous();
    const float* values = part.const_data_ptr<float>();
    logits.insert(logits.end(), values, values + part.numel());
  }
  return logits;
}

namespace {

// Adds `bonus` to the logits of the drugs of each visit's previous one.
std::vector<float> WithBonus(const Corpus& corpus, const std::vector<int32_t>& visits, double bonus,
                             std::vector<float> logits) {
  for (size_t i = 0; i < visits.size(); ++i) {
    for (const int32_t drug : PreviousDrugs(corpus, visits[i])) {
      logits[i * corpus.drugs.size() + drug] += static_cast<float>(bonus);
    }
  }
  return logits;
}

}  // namespace

Row RaremedRow(const Field& field, const Raremed& raremed) {
  return ScoredRow(
      field, EncoderLogits(raremed, field.corpus, field.corpus.VisitsOf(Split::kValidation)),
      {"raremed", EncoderLogits(raremed, field.corpus, field.visits), DrugScores::kLogits},
      /*otherwise=*/0);
}

Row MicronRow(const Field& field, const Micron& micron) {
  const std::vector<int32_t> validation = field.corpus.VisitsOf(Split::kValidation);
  const std::vector<float> known = EncoderLogits(micron, field.corpus, validation);
  double best_bonus = 0, best_jaccard = -1;
  for (const double bonus : {0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0}) {
    if (known.empty()) break;
    const double jaccard =
        JaccardOnValidation(field.corpus, WithBonus(field.corpus, validation, bonus, known));
    if (jaccard <= best_jaccard) continue;
    best_jaccard = jaccard;
    best_bonus = bonus;
  }
  std::vector<float> asked = WithBonus(field.corpus, field.visits, best_bonus,
                                       EncoderLogits(micron, field.corpus, field.visits));
  return ScoredRow(field, WithBonus(field.corpus, validation, best_bonus, known),
                   {"micron", std::move(asked), DrugScores::kLogits}, /*otherwise=*/0);
}

}  // namespace flame
