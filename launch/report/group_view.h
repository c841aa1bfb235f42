// A sampled group in words: what a reader of a shard sees of its tokens, states and advantages.
#ifndef FLAME_LAUNCH_REPORT_GROUP_VIEW_H_
#define FLAME_LAUNCH_REPORT_GROUP_VIEW_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/list_task.h"
#include "rollout/trajectory.h"
#include "tokenizer/tokenizer.h"
#include "trainer/credit/credit.h"

namespace flame {

struct TokenView {
  std::string text;  // line breaks and control characters as marks
  double advantage = 0;
};

struct StepView {
  std::string text;  // the step's tokens; "" for the start
  double phi = 0, jaccard = 0, ddi = 0, refusal = 0;
};

struct MemberView {
  double reward = 0;
  int64_t refused = 0, lines = 0;
  std::string list;             // the drugs after the whole completion, a comma between
  std::vector<StepView> steps;  // from the start on
  std::vector<TokenView> tokens;
};

struct GroupView {
  int64_t task_id = 0, task = 0, version = 0;
  // "HADM_ID 142345"; "" if the task file is missing, as are edit, input and prescribed.
  std::string visit;
  std::string edit;  // "add to", "remove from"
  std::string input, prescribed;
  int64_t prompt_tokens = 0;
  std::string prompt;
  std::vector<MemberView> members;
  double largest = 0;  // the largest absolute advantage of a token, above 0
};

// Names and texts come from the run that holds the shards (RUN/grpo/rollouts), credit options from
// its config.yaml.
class GroupViewer {
 public:
  explicit GroupViewer(const std::filesystem::path& run);

  GroupView View(const Group& group) const;
  bool names_known() const { return tokenizer_ && corpus_; }  // else drugs and tokens are ids
  bool credit_known() const { return credit_known_; }         // else credit.* has its defaults

 private:
  std::string NamesOf(const std::vector<int32_t>& drugs) const;
  std::string TextOf(const std::vector<int32_t>& tokens) const;
  std::string PieceOf(int32_t token) const;
  void TellTask(GroupView* view) const;
  MemberView MemberOf(const Trajectory& member, const std::vector<float>& advantages) const;

  std::optional<Tokenizer> tokenizer_;
  std::optional<Corpus> corpus_;
  std::vector<ListTask> tasks_;
  CreditOptions credit_;
  bool credit_known_ = false;
};

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_GROUP_VIEW_H_
