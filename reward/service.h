// Scoring of completions: in this process, or by reward ranks over MPI.
#ifndef FLAME_REWARD_SERVICE_H_
#define FLAME_REWARD_SERVICE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "data/corpus.h"
#include "data/list_task.h"
#include "reward/options.h"
#include "reward/verdict.h"
#include "tokenizer/tokenizer.h"

namespace flame {

// One whole group. Only the scorer knows the truth of a visit.
struct ScoreRequest {
  int64_t task_id = 0;
  int32_t visit = 0;
  Edit edit = Edit::kAdd;
  std::vector<int32_t> input;                     // the list shown
  std::vector<std::vector<int32_t>> completions;  // token ids
};

class Scorer {
 public:
  // `end_id`: the end-of-text token, which belongs to no line. Keeps references. Starts
  // options.external and asks it once: MachineError where it does not answer.
  Scorer(const Corpus& corpus, const Tokenizer& tokenizer, int32_t end_id,
         const RewardOptions& options);
  ~Scorer();
  // One verdict a completion. Throws DataError naming the task on a visit or drug out of range.
  // With options.external, phi is what that program answers (MachineError where it does not), and
  // one thread at a time may call.
  std::vector<Verdict> Score(const ScoreRequest& request) const;
  // How often the program was started anew since the last call.
  int64_t TakeRestarts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class RewardClient {
 public:
  virtual ~RewardClient() = default;
  // Verdicts of each request, in order. A failure is retried once on another reward rank if there
  // is one, then thrown, naming the task; it is never a reward of 0.
  virtual std::vector<std::vector<Verdict>> Score(const std::vector<ScoreRequest>& requests) = 0;
  // Retries on other ranks and restarts of external programs since the last call.
  virtual int64_t TakeRetries() = 0;
};

std::unique_ptr<RewardClient> MakeLocalRewardClient(const Scorer& scorer);
// `reward_ranks`: ranks of `world` that run ServeRewards. `deadline`: what one answer may take;
// less than half of what whoever waits for this rank allows it, so that a silent scorer is named,
// or another one asked, before this rank passes for silent itself.
std::unique_ptr<RewardClient> MakeRemoteRewardClient(Communicator* world,
                                                     std::vector<int> reward_ranks,
                                                     Communicator::Milliseconds deadline);

// Answers requests from any rank of `world` until StopServingRewards reaches it; returns the
// seconds that it had nothing to do. Throws MachineError if nothing was asked for `idle`: longer
// than a training step.
double ServeRewards(Communicator* world, const Scorer& scorer, Communicator::Milliseconds idle);
void StopServingRewards(Communicator* world, const std::vector<int>& reward_ranks);

}  // namespace flame

#endif  // FLAME_REWARD_SERVICE_H_
