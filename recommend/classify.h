// pi_cls at work: P(Yes) of every drug for a visit.
#ifndef FLAME_RECOMMEND_CLASSIFY_H_
#define FLAME_RECOMMEND_CLASSIFY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/list_task.h"
#include "data/prompts/prompt.h"
#include "model/policy.h"

namespace flame {

// The family of one visit: the classifier's trunk and a branch for each drug of the corpus, ending
// in its answer token, which is what is asked for: "Yes" for the visit's drugs.
Family ClassifierFamily(const PromptBuilder& prompts, int32_t num_drugs, int32_t visit,
                        const std::vector<int32_t>& visit_drugs);

// Logit of Yes less that of No, [visits, drugs], in packed batches of about `token_budget` tokens.
// `label` of the progress shown; "": none is. Where `learners` hold the policy together each of
// them calls this, with visits of its own.
std::vector<float> ClassifierLogits(const Policy& policy, const PromptBuilder& prompts,
                                    int32_t num_drugs, const std::vector<int32_t>& visits,
                                    int64_t token_budget, const std::string& label,
                                    Communicator* learners = nullptr);

// Scores of all drugs for `visits`: sigmoid(logit - offset); with offset 0 the softmax over the two
// answers (eq. 12). A drug is predicted above 0.5, that is, where its logit is above the offset
// (recommend/calibrate.h).
Scores ClassifyVisits(const Policy& policy, const PromptBuilder& prompts, int32_t num_drugs,
                      const std::vector<int32_t>& visits, double offset, int64_t token_budget,
                      const std::string& label);

}  // namespace flame

#endif  // FLAME_RECOMMEND_CLASSIFY_H_
