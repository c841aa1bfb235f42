// The reward service's result for one completion.
#ifndef FLAME_REWARD_VERDICT_H_
#define FLAME_REWARD_VERDICT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flame {

inline constexpr size_t kMaxUnmatched = 8, kMaxUnmatchedBytes = 80;

// A verdict over N steps. Index 0 is the input list, index n the list after step n.
//   phi[n] = phi_jaccard[n] - alpha * phi_ddi[n] - beta * phi_refusal[n]       (eq. 8)
// Worked example: alpha 0, beta 0.5, a step per line, truth {1, 9}, no harmful pairs, Add to {1},
// tokens "nine", "\n", "foo", "\n", end-of-text, where "nine" is the name of drug 9:
//   phi_jaccard {0.5, 1, 1}, phi_ddi {0, 0, 0}, phi_refusal {0, 0, 0.5}, phi {0.5, 1, 0.75},
//   step_of_token {1, 1, 2, 2, -1}, state {s, t, t} with s of {1} and t of {1, 9}, reward 0.25,
//   final_list {1, 9}, num_lines 2, num_refused 1, unmatched {"foo"}
struct Verdict {
  std::vector<float> phi, phi_jaccard, phi_ddi, phi_refusal;  // [N + 1] each; unweighted terms
  // [N + 1]: a fingerprint of the drug list, DrugSet::Fingerprint. Equal lists have equal ones.
  std::vector<int64_t> state;
  // [tokens]: 1-based step; -1: no step (the end-of-text token and tokens after the last line).
  std::vector<int16_t> step_of_token;
  float reward = 0;  // phi[N] - phi[0]                                          (eq. 9)
  // The edited list after the whole completion: drug ids, ascending.
  std::vector<int32_t> final_list;
  int32_t num_lines = 0, num_refused = 0;
  // The first lines that name no known drug: at most kMaxUnmatched lines of kMaxUnmatchedBytes
  // each, valid UTF-8. Not written to shards.
  std::vector<std::string> unmatched;
};

}  // namespace flame

#endif  // FLAME_REWARD_VERDICT_H_
