// Scores completions: in this process, or on reward ranks over MPI.
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

// One whole group to score. The truth is not sent: only the scorer knows a visit's drugs.
struct ScoreRequest {
  int64_t task_id = 0;
  int32_t visit = 0;
  Edit edit = Edit::kAdd;
  std::vector<int32_t> input;                     // the list in the prompt
  std::vector<std::vector<int32_t>> completions;  // token ids
};

class Scorer {
 public:
  // `end_id` is the end-of-text token, which belongs to no line. Keeps references to `corpus` and
  // `tokenizer`. Starts options.external, if given, and asks it once; throws MachineError if it
  // does not answer.
  Scorer(const Corpus& corpus, const Tokenizer& tokenizer, int32_t end_id,
         const RewardOptions& options);
  ~Scorer();
  // Returns one verdict for each completion. Throws DataError, naming the task, if a visit, drug or
  // token is out of range. With options.external phi is the program's answer; then throws
  // MachineError if it does not answer, and only one thread at a time may call this.
  std::vector<Verdict> Score(const ScoreRequest& request) const;
  // Returns how often the program was restarted since the last call.
  int64_t TakeRestarts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class RewardClient {
 public:
  virtual ~RewardClient() = default;
  // Returns the verdicts of each request, in order. A request that fails is retried once on another
  // reward rank, if there is one; then its error is thrown, naming the task. A failure is never a
  // reward of 0.
  virtual std::vector<std::vector<Verdict>> Score(const std::vector<ScoreRequest>& requests) = 0;
  // Returns the retries on other ranks and the restarts of external programs since the last call.
  virtual int64_t TakeRetries() = 0;
};

std::unique_ptr<RewardClient> MakeLocalRewardClient(const Scorer& scorer);
// `reward_ranks` are ranks of `world` that run ServeRewards. `deadline` is the time limit for one
// answer. It must be less than half of the time that other ranks wait for this rank, so that this
// rank can ask a second scorer, or report that none answers.
std::unique_ptr<RewardClient> MakeRemoteRewardClient(Communicator* world,
                                                     std::vector<int> reward_ranks,
                                                     Communicator::Milliseconds deadline);

// Answers requests from any rank of `world` until StopServingRewards. Returns the idle seconds.
// Throws MachineError if no request comes for `idle`, which must be longer than a training step.
double ServeRewards(Communicator* world, const Scorer& scorer, Communicator::Milliseconds idle);
void StopServingRewards(Communicator* world, const std::vector<int>& reward_ranks);

}  // namespace flame

#endif  // FLAME_REWARD_SERVICE_H_
