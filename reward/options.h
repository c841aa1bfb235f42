// Config sections `reward` and the part of `credit` that shapes verdicts.
#ifndef FLAME_REWARD_OPTIONS_H_
#define FLAME_REWARD_OPTIONS_H_

#include <string>

#include "base/config.h"

namespace flame {

struct RewardOptions {
  double alpha = 0;   // weight of the DDI rate in phi
  double beta = 0.5;  // weight of the refusal share in phi
  // lines: share of the lines so far that name no known drug; list: share of the list outside the
  // candidate set (the paper's).
  std::string refusal = "lines";
  // drug (one step a line), token, chunk:K (K lines a step), list (one step).
  std::string segmentation = "drug";  // key credit.segmentation
  // A command whose answers are phi, in place of the formula (reward/external.h); "": none.
  std::string external;
  double external_timeout = 60;  // seconds that the answers to one group may take
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_REWARD_OPTIONS_H_
