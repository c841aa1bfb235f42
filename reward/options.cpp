#include "reward/options.h"

namespace flame {

void RewardOptions::Bind(ConfigSchema* schema) {
  schema->Number("reward.alpha", &alpha, {.low = 0}, "weight of the DDI rate in phi");
  schema->Number("reward.beta", &beta, {.low = 0},
                 "weight in phi of the refusal: the share of the lines written so far that name no "
                 "known drug");
  schema->Text("reward.external", &external,
               "a command that computes phi of a state, JSON lines in and out; empty: the formula");
  schema->Number("reward.external_timeout", &external_timeout, {.low = 0, .low_open = true},
                 "time limit in seconds for the command's answers to one group");
  schema->Choice("credit.segmentation", &segmentation, {"drug", "token", "chunk:", "list"},
                 "what a step is: a line, a token, K lines (written as chunk:K) or the whole list");
}

}  // namespace flame
