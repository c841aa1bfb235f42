// pi_list at work: the final set of eq. 15, from pi_cls's prediction.
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

// `sets[i][k]`: M_v = (M_p u Add) \ Remove of visit i in sample k, ascending drug ids;
// `edits[i][k]`: drugs added or removed.
struct ListPredictions {
  std::vector<std::vector<std::vector<int32_t>>> sets;
  std::vector<std::vector<int64_t>> edits;
};

struct ListInferenceOptions {
  SamplingOptions sampling;  // group_size lists a visit; temperature 0 is greedy, with one list
  RewardOptions reward;      // how lines are read; no external program is asked
  uint64_t seed = 0;         // another one than training's, so that other numbers are drawn
};

// `inputs[i]`: M_p of visits[i]. `label` names the progress that is shown.
ListPredictions PredictLists(const ListInferenceOptions& options, const Materials& materials,
                             Policy* policy, const std::vector<int32_t>& visits,
                             const std::vector<std::vector<int32_t>>& inputs,
                             const std::string& label);

}  // namespace flame

#endif  // FLAME_RECOMMEND_LIST_INFERENCE_H_
