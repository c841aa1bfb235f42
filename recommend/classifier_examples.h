// What pi_cls trains on and is validated on.
#ifndef FLAME_RECOMMEND_CLASSIFIER_EXAMPLES_H_
#define FLAME_RECOMMEND_CLASSIFIER_EXAMPLES_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "data/prompts/prompt.h"
#include "trainer/options.h"
#include "trainer/sft/sft.h"

namespace flame {

// Training visits as examples, balanced as ClassifierOptions say.
class ClassifierExamples {
 public:
  // Keeps references to all but `options`. Throws DataError where Yes is to be weighted and no
  // visit has a drug.
  ClassifierExamples(const PromptBuilder& prompts, const Corpus& corpus,
                     const std::vector<int32_t>& visits, const ClassifierOptions& options,
                     uint64_t seed);
  int64_t size() const { return static_cast<int64_t>(visits_.size()); }
  SftExample At(int64_t example, int64_t epoch) const;

  // The weight of a Yes answer; that of a No answer is 1.
  double yes_weight() const { return yes_weight_; }

 private:
  // Candidates of the visit that are trained on, ascending.
  std::vector<int32_t> Candidates(int32_t visit, int64_t epoch) const;

  const PromptBuilder& prompts_;
  const Corpus& corpus_;
  const std::vector<int32_t>& visits_;
  ClassifierOptions options_;
  uint64_t seed_;
  double yes_weight_ = 1;
};

// Validation visits, ascending: all with limit 0, else at most so many, drawn by seed.
std::vector<int32_t> DrawValidation(const Corpus& corpus, int64_t limit, uint64_t seed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_CLASSIFIER_EXAMPLES_H_
