// The examples that pi_cls trains on and is validated on.
#ifndef FLAME_RECOMMEND_CLASSIFIER_EXAMPLES_H_
#define FLAME_RECOMMEND_CLASSIFIER_EXAMPLES_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "data/prompts/drug_mentions.h"
#include "data/prompts/prompt.h"
#include "trainer/options.h"
#include "trainer/sft/sft.h"

namespace flame {

// Training visits as examples, balanced and weighted as ClassifierOptions says. With a
// teacher_share, LogisticLogits of the same visits are early answers (Hinton et al. 2015, arXiv
// 1503.02531): a probability tells more of a visit than one draw from it.
class ClassifierExamples {
 public:
  // Keeps references to all arguments but `options`. Throws DataError if balance is "weight" and no
  // visit has a drug.
  ClassifierExamples(const PromptBuilder& prompts, const Corpus& corpus,
                     const std::vector<int32_t>& visits, const ClassifierOptions& options,
                     uint64_t seed);
  int64_t size() const { return static_cast<int64_t>(visits_.size()); }
  SftExample At(int64_t example, int64_t epoch) const;

  // The weight of a Yes answer; a No answer has weight 1.
  double yes_weight() const { return yes_weight_; }

 private:
  // Returns, for each drug, the answer that the visit's truth does not give, with the share that
  // the teacher gives it.
  std::vector<EarlyAnswer> TeacherAnswers(int64_t example) const;

  // Returns the visit's candidates to train on in this epoch, ascending.
  std::vector<int32_t> Candidates(int32_t visit, int64_t epoch) const;

  const PromptBuilder& prompts_;
  const Corpus& corpus_;
  const std::vector<int32_t>& visits_;
  ClassifierOptions options_;
  DrugMentions names_;
  uint64_t seed_;
  double yes_weight_ = 1;
  std::vector<float> teacher_;  // [visits, drugs]: logits of the teacher; empty: none
};

// Returns validation visits, ascending: all if `limit` is 0, else at most `limit`, drawn by seed.
std::vector<int32_t> DrawValidation(const Corpus& corpus, int64_t limit, uint64_t seed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_CLASSIFIER_EXAMPLES_H_
