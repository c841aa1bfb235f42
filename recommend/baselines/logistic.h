// The baseline "logistic": one logistic regression per drug on the facts of a visit.
#ifndef FLAME_RECOMMEND_BASELINES_LOGISTIC_H_
#define FLAME_RECOMMEND_BASELINES_LOGISTIC_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "recommend/baselines/facts.h"

namespace flame {

// Fits on the training visits of `train` and returns the logits of `visits`, [visits, drugs]. Each
// drug's weights w and bias b, as a weight of a constant fact, minimise
//   |w|^2 / 2 + b^2 / 2 + sum over visits of log(1 + exp(-y (w x + b))),   y = 1 given, -1 not
// (liblinear's L2R_LR with C = 1; scikit-learn's LogisticRegression with solver liblinear). A drug
// that none or all of `train` have gets the logit of its share, one half visit added on both sides.
std::vector<float> LogisticLogits(const Corpus& corpus, const Facts& facts,
                                  const std::vector<int32_t>& train,
                                  const std::vector<int32_t>& visits);

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_LOGISTIC_H_
