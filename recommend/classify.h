// Inference with pi_cls: P(Yes) of every drug for a visit.
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

// Returns the family of one visit: the classifier's trunk and one branch per drug of the corpus. A
// branch ends in its answer token, "Yes" for the visit's drugs and "No" for the others. Only the
// answer token is asked for.
Family ClassifierFamily(const PromptBuilder& prompts, int32_t num_drugs, int32_t visit,
                        const std::vector<int32_t>& visit_drugs);

// Returns logit(Yes) - logit(No), [visits, drugs], computed in packed batches of about
// `token_budget` tokens. Shows progress under `label`; "" shows none. If the policy is split over
// `learners`, every learner calls this with its own visits.
std::vector<float> ClassifierLogits(const Policy& policy, const PromptBuilder& prompts,
                                    int32_t num_drugs, const std::vector<int32_t>& visits,
                                    int64_t token_budget, const std::string& label,
                                    Communicator* learners = nullptr);

// Returns the scores of all drugs for `visits`: sigmoid(logit - offset), which is the softmax over
// the two answers (eq. 12) if the offset is 0. A drug is predicted if its score is above 0.5.
Scores ClassifyVisits(const Policy& policy, const PromptBuilder& prompts, int32_t num_drugs,
                      const std::vector<int32_t>& visits, double offset, int64_t token_budget,
                      const std::string& label);

}  // namespace flame

#endif  // FLAME_RECOMMEND_CLASSIFY_H_
