// Config section `reward`, and the part of `credit` that shapes verdicts.
#ifndef FLAME_REWARD_OPTIONS_H_
#define FLAME_REWARD_OPTIONS_H_

#include <string>

#include "base/config.h"

namespace flame {

struct RewardOptions {
  double alpha = 0;   // weight of the DDI rate in phi
  double beta = 0.5;  // weight of the refusal share in phi
  // "lines": share of the lines so far that name no known drug. "list": share of the list that is
  // not in the candidate set (the paper's).
  std::string refusal = "lines";
  // One step is: "drug": a line, "token": a token, "chunk:K": K lines, "list": the whole list.
  std::string segmentation = "drug";  // config key credit.segmentation
  // A command that computes phi instead of the formula (reward/external.h); empty: the formula.
  std::string external;
  double external_timeout = 60;  // seconds for its answers to one group
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_REWARD_OPTIONS_H_
