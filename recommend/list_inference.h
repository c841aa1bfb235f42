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

struct ListPredictions {
  // sets[i][k]: M_v of visit i in sample k, ascending drug ids: the drugs of M_p and those of Add,
  // without those of Remove.
  std::vector<std::vector<std::vector<int32_t>>> sets;
  std::vector<std::vector<int64_t>> edits;  // edits[i][k]: number of drugs added or removed
};

struct ListInferenceOptions {
  SamplingOptions sampling;  // group_size lists per visit; use 1 with temperature 0 (greedy)
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
