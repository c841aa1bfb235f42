#include "reward/service.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "comm/tags.h"
#include "comm/watchdog.h"
#include "comm/wire.h"

namespace flame {
namespace {

constexpr size_t kBatch = 64;           // requests
constexpr size_t kBatchesInFlight = 2;  // one is scored while the next one travels
enum class Kind : int8_t { kStop = 0, kScore = 1 };

// The verdicts of one request, or the error that prevented them.
struct Answer {
  std::vector<Verdict> verdicts;
  ExitStatus status = ExitStatus::kDone;
  std::string error;
  int64_t restarts = 0;  // restarts of an external program
  bool ok() const { return status == ExitStatus::kDone; }
};

Answer AnswerTo(const Scorer& scorer, const ScoreRequest& request) {
  try {
    std::vector<Verdict> verdicts = scorer.Score(request);
    return {std::move(verdicts), ExitStatus::kDone, "", scorer.TakeRestarts()};
  } catch (const Error& error) {
    return {{}, error.status(), error.what(), 0};
  } catch (const std::exception& error) {
    return {{}, ExitStatus::kMachine, error.what(), 0};
  }
}

[[noreturn]] void Throw(const ScoreRequest& request, const Answer& answer) {
  throw Error(answer.status, StrCat("task ", request.task_id, " was not scored: ", answer.error));
}

void Write(const ScoreRequest& request, WireWriter* out) {
  out->Pod(request.task_id);
  out->Pod(request.visit);
  out->Pod(request.edit);
  out->Vector(request.input);
  out->Pod<uint64_t>(request.completions.size());
  for (const auto& completion : request.completions) out->Vector(completion);
}

ScoreRequest ReadRequest(WireReader* in) {
  ScoreRequest request;
  request.task_id = in->Pod<int64_t>();
  request.visit = in->Pod<int32_t>();
  request.edit = in->Pod<Edit>();
  request.input = in->Vector<int32_t>();
  const auto num_completions = in->Pod<uint64_t>();
  for (uint64_t i = 0; i < num_completions; ++i) {
    request.completions.push_back(in->Vector<int32_t>());
  }
  return request;
}

void Write(const Verdict& verdict, WireWriter* out) {
  out->Vector(verdict.phi);
  out->Vector(verdict.phi_jaccard);
  out->Vector(verdict.phi_ddi);
  out->Vector(verdict.phi_refusal);
  out->Vector(verdict.state);
  out->Vector(verdict.step_of_token);
  out->Pod(verdict.reward);
  out->Vector(verdict.final_list);
  out->Pod(verdict.num_lines);
  out->Pod(verdict.num_refused);
  out->Pod<uint64_t>(verdict.unmatched.size());
  for (const std::string& text : verdict.unmatched) out->Text(text);
}

Verdict ReadVerdict(WireReader* in) {
  Verdict verdict;
  verdict.phi = in->Vector<float>();
  verdict.phi_jaccard = in->Vector<float>();
  verdict.phi_ddi = in->Vector<float>();
  verdict.phi_refusal = in->Vector<float>();
  verdict.state = in->Vector<int64_t>();
  verdict.step_of_token = in->Vector<int16_t>();
  verdict.reward = in->Pod<float>();
  verdict.final_list = in->Vector<int32_t>();
  verdict.num_lines = in->Pod<int32_t>();
  verdict.num_refused = in->Pod<int32_t>();
  const auto unmatched = in->Pod<uint64_t>();
  for (uint64_t i = 0; i < unmatched; ++i) verdict.unmatched.push_back(in->Text());
  return verdict;
}

void Write(const Answer& answer, WireWriter* out) {
  out->Pod(answer.status);
  out->Text(answer.error);
  out->Pod(answer.restarts);
  out->Pod<uint64_t>(answer.verdicts.size());
  for (const Verdict& verdict : answer.verdicts) Write(verdict, out);
}

Answer ReadAnswer(WireReader* in) {
  Answer answer;
  answer.status = in->Pod<ExitStatus>();
  answer.error = in->Text();
  answer.restarts = in->Pod<int64_t>();
  const auto num_verdicts = in->Pod<uint64_t>();
  for (uint64_t i = 0; i < num_verdicts; ++i) answer.verdicts.push_back(ReadVerdict(in));
  return answer;
}

class LocalRewardClient : public RewardClient {
 public:
  explicit LocalRewardClient(const Scorer& scorer) : scorer_(scorer) {}
  std::vector<std::vector<Verdict>> Score(const std::vector<ScoreRequest>& requests) override {
    std::vector<std::vector<Verdict>> verdicts;
    for (const ScoreRequest& request : requests) {
      Answer answer = AnswerTo(scorer_, request);
      if (!answer.ok()) Throw(request, answer);
      retries_ += answer.restarts;
      verdicts.push_back(std::move(answer.verdicts));
    }
    return verdicts;
  }
  int64_t TakeRetries() override { return std::exchange(retries_, 0); }

 private:
  const Scorer& scorer_;
  int64_t retries_ = 0;
};

// Sends requests in batches, a few at a time to each reward rank, so that a rank's backlog is
// bounded by the number of ranks that ask. Every batch has a number; an answer to a batch that was
// given up is dropped.
class RemoteRewardClient : public RewardClient {
 public:
  RemoteRewardClient(Communicator* world, std::vector<int> ranks,
                     Communicator::Milliseconds deadline)
      : world_(world), ranks_(std::move(ranks)), deadline_(deadline) {
    if (ranks_.empty()) throw UsageError("no reward rank was given; expected at least one");
  }

  std::vector<std::vector<Verdict>> Score(const std::vector<ScoreRequest>& requests) override {
    // Holds the index in ranks_ of each request's scorer; the round robin continues across calls.
    std::vector<size_t> place(requests.size());
    for (size_t& p : place) p = next_++ % ranks_.size();
    std::vector<size_t> wanted(requests.size());
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = i;
    std::vector<Answer> answers(requests.size());
    Ask(requests, wanted, place, &answers);
    if (ranks_.size() > 1) {
      std::erase_if(wanted, [&](size_t i) { return answers[i].ok(); });
      retries_ += static_cast<int64_t>(wanted.size());
      for (size_t i : wanted) {
        LogWarning("task ", requests[i].task_id, " was not scored by ", RankName(ranks_[place[i]]),
                   " (", answers[i].error, "); asking another reward rank");
        place[i] = (place[i] + 1) % ranks_.size();
      }
      Ask(requests, wanted, place, &answers);
    }
    std::vector<std::vector<Verdict>> verdicts;
    for (size_t i = 0; i < requests.size(); ++i) {
      if (!answers[i].ok()) Throw(requests[i], answers[i]);
      retries_ += answers[i].restarts;
      verdicts.push_back(std::move(answers[i].verdicts));
    }
    return verdicts;
  }
  int64_t TakeRetries() override { return std::exchange(retries_, 0); }

 private:
  int64_t retries_ = 0;

  // The requests for one reward rank: some not sent yet, some sent and not answered yet.
  struct Queue {
    std::vector<size_t> requests;  // indices of requests; the first `sent` were sent
    size_t sent = 0, answered = 0;
    std::deque<uint64_t> batches;  // sent and not answered, oldest first
    bool done() const { return answered == requests.size(); }
  };

  // Fills answers[i] for each i in `wanted`.
  void Ask(const std::vector<ScoreRequest>& requests, const std::vector<size_t>& wanted,
           const std::vector<size_t>& place, std::vector<Answer>* answers) {
    std::vector<Queue> queues(ranks_.size());
    for (size_t i : wanted) queues[place[i]].requests.push_back(i);
    const auto done = [](const Queue& queue) { return queue.done(); };
    while (!std::all_of(queues.begin(), queues.end(), done)) {
      for (size_t p = 0; p < ranks_.size(); ++p) SendWhatFits(requests, ranks_[p], &queues[p]);
      for (size_t p = 0; p < ranks_.size(); ++p) {
        if (queues[p].done()) continue;
        try {
          TakeReply(requests, ranks_[p], &queues[p], answers);
        } catch (const Error& error) {
          // The rank missed the deadline or sent a malformed answer: it is not asked again.
          for (; !queues[p].done(); ++queues[p].answered) {
            const size_t i = queues[p].requests[queues[p].answered];
            (*answers)[i] = {{}, ExitStatus::kMachine, error.what(), 0};
          }
          queues[p].sent = queues[p].answered;
        }
      }
    }
  }

  void SendWhatFits(const std::vector<ScoreRequest>& requests, int rank, Queue* queue) {
    while (queue->batches.size() < kBatchesInFlight && queue->sent < queue->requests.size()) {
      const size_t end = std::min(queue->sent + kBatch, queue->requests.size());
      queue->batches.push_back(++batch_);
      WireWriter out;
      out.Pod(Kind::kScore);
      out.Pod(batch_);
      out.Pod<uint64_t>(end - queue->sent);
      for (; queue->sent < end; ++queue->sent) {
        Write(requests[queue->requests[queue->sent]], &out);
      }
      world_->Send(out.Take(), rank, kRewardRequestTag);
    }
  }

  // Takes the answers to the oldest batch.
  void TakeReply(const std::vector<ScoreRequest>& requests, int rank, Queue* queue,
                 std::vector<Answer>* answers) {
    while (true) {
      Message message;
      if (!world_->TryReceive(rank, kRewardReplyTag, deadline_, &message)) {
        throw MachineError("reward ", RankName(rank), " has not answered for ",
                           static_cast<double>(deadline_.count()) / 1000, " s");
      }
      WireReader in(std::move(message.bytes));
      if (in.Pod<uint64_t>() != queue->batches.front()) continue;
      queue->batches.pop_front();
      const size_t end = std::min(queue->answered + kBatch, queue->requests.size());
      for (; queue->answered < end; ++queue->answered) {
        const size_t i = queue->requests[queue->answered];
        Answer answer = ReadAnswer(&in);
        if (answer.ok() && answer.verdicts.size() != requests[i].completions.size()) {
          throw MachineError("rank ", rank, " answered ", answer.verdicts.size(), " verdicts for ",
                             requests[i].completions.size(), " completions");
        }
        (*answers)[i] = std::move(answer);
      }
      return;
    }
  }

  Communicator* world_;
  std::vector<int> ranks_;
  Communicator::Milliseconds deadline_;
  size_t next_ = 0;
  uint64_t batch_ = 0;
};

void AnswerBatch(Communicator* world, const Scorer& scorer, int source, WireReader* in) {
  WireWriter out;
  out.Pod(in->Pod<uint64_t>());
  const auto num_requests = in->Pod<uint64_t>();
  for (uint64_t i = 0; i < num_requests; ++i) Write(AnswerTo(scorer, ReadRequest(in)), &out);
  world->Send(out.Take(), source, kRewardReplyTag);
}

}  // namespace

std::unique_ptr<RewardClient> MakeLocalRewardClient(const Scorer& scorer) {
  return std::make_unique<LocalRewardClient>(scorer);
}

std::unique_ptr<RewardClient> MakeRemoteRewardClient(Communicator* world,
                                                     std::vector<int> reward_ranks,
                                                     Communicator::Milliseconds deadline) {
  return std::make_unique<RemoteRewardClient>(world, std::move(reward_ranks), deadline);
}

double ServeRewards(Communicator* world, const Scorer& scorer, Communicator::Milliseconds idle) {
  std::chrono::duration<double> idle_seconds(0);
  while (true) {
    Message message;
    const auto start = std::chrono::steady_clock::now();
    if (!world->TryReceive(Communicator::kAnySource, kRewardRequestTag, idle, &message)) {
      throw MachineError("reward ", RankName(world->rank()),
                         ": no rollout rank has asked for a score in ",
                         static_cast<double>(idle.count()) / 1000, " s");
    }
    idle_seconds += std::chrono::steady_clock::now() - start;
    WireReader in(std::move(message.bytes));
    if (in.Pod<Kind>() == Kind::kStop) return idle_seconds.count();
    AnswerBatch(world, scorer, message.source, &in);
  }
}

void StopServingRewards(Communicator* world, const std::vector<int>& reward_ranks) {
  WireWriter out;
  out.Pod(Kind::kStop);
  const std::string stop = out.Take();
  for (int rank : reward_ranks) world->Send(stop, rank, kRewardRequestTag);
}

}  // namespace flame
