// pi_list at work: the final set of eq. 15, from pi_cls's prediction.
#ifndef FLAME_LAUNCH_LIST_INFERENCE_H_
#define FLAME_LAUNCH_LIST_INFERENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/materials.h"
#include "launch/run/config.h"
#include "model/policy.h"

namespace flame {

// `sets[i][k]`: M_v = (M_p u Add) \ Remove of visit i in sample k, ascending drug ids;
// `edits[i][k]`: drugs added or removed.
struct ListPredictions {
  std::vector<std::vector<std::vector<int32_t>>> sets;
  std::vector<std::vector<int64_t>> edits;
};

// `inputs[i]`: M_p of visits[i]. `samples` lists a visit at `temperature`; temperature 0 is greedy,
// with one sample.
ListPredictions PredictLists(const Config& config, const Materials& materials, Policy* policy,
                             const std::vector<int32_t>& visits,
                             const std::vector<std::vector<int32_t>>& inputs, double temperature,
                             int64_t samples, const std::string& label);

}  // namespace flame

#endif  // FLAME_LAUNCH_LIST_INFERENCE_H_
