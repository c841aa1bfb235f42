// Config section `reward`, and the part of `credit` that shapes verdicts.
#ifndef FLAME_REWARD_OPTIONS_H_
#define FLAME_REWARD_OPTIONS_H_

#include <string>

#include "base/config.h"

namespace flame {

struct RewardOptions {
  double alpha = 0;  // weight of the DDI rate in phi
  // Weight of the refusal in phi: the share of the lines so far that name no known drug, as in the
  // authors' code. The paper's share of the list outside the candidate set is always 0 here: names
  // are matched exactly and every drug is a candidate.
  double beta = 0.5;
  // One step is: "drug": a line, "token": a token, "chunk:K": K lines, "list": the whole list.
  std::string segmentation = "drug";  // config key credit.segmentation
  // A command that computes phi instead of the formula (reward/external.h); empty: the formula.
  std::string external;
  double external_timeout = 60;  // seconds for its answers to one group
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_REWARD_OPTIONS_H_
