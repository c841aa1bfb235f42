// Inference with pi_list: the final set of eq. 15, from pi_cls's prediction.
#ifndef FLAME_RECOMMEND_LIST_INFERENCE_H_
#define FLAME_RECOMMEND_LIST_INFERENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "model/policy.h"
#include "recommend/materials.h"
#include "reward/options.h"
#include "rollout/options.h"

namespace flame {

// Final sets M_v of each visit, ascending drug ids: the drugs of M_p and those of Add, without
// those of Remove.
struct ListPredictions {
  std::vector<std::vector<int32_t>> greedy;                // [visit]
  std::vector<int64_t> edits;                              // [visit]: drugs added or removed there
  std::vector<std::vector<std::vector<int32_t>>> sampled;  // [visit][sample]
  // [visit]: phi of the states of its greedy list (Verdict::phi), from M_p on.
  std::vector<std::vector<float>> phi_add, phi_remove;
};

struct ListInferenceOptions {
  SamplingOptions sampling;  // of the sampled lists, group_size for each visit
  RewardOptions reward;      // says how lines are read; `external` is ignored
  // Should differ from training's seed, so that its random numbers are not those of training.
  uint64_t seed = 0;
};

// Predicts for all `visits`. inputs[i] is M_p of visits[i]. `label` names the progress shown.
ListPredictions PredictLists(const ListInferenceOptions& options, const Materials& materials,
                             Policy* policy, const std::vector<int32_t>& visits,
                             const std::vector<std::vector<int32_t>>& inputs,
                             const std::string& label);

}  // namespace flame

#endif  // FLAME_RECOMMEND_LIST_INFERENCE_H_
