#include "trainer/grpo/grpo_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

void CheckMember(const Group& group, const Trajectory& member, const std::filesystem::path& shard) {
  const size_t tokens = member.tokens.size();
  if (tokens == 0 || member.logprobs.size() != tokens ||
      member.verdict.step_of_token.size() != tokens || member.verdict.phi.empty()) {
    throw DataError(shard.string(), ": task id ", group.task_id, " has a completion of ", tokens,
                    " tokens with ", member.logprobs.size(), " log-probabilities, ",
                    member.verdict.step_of_token.size(), " steps and ", member.verdict.phi.size(),
                    " values of phi; expected at least one token, as many of the next two, and at "
                    "least one phi");
  }
}

// Returns the group's place in the request. Throws DataError if the request has no such group or
// the group is malformed.
size_t PlaceOf(const Group& group, const RolloutRequest& request,
               const std::filesystem::path& shard) {
  const auto found = std::find(request.task_ids.begin(), request.task_ids.end(), group.task_id);
  const auto place = static_cast<size_t>(found - request.task_ids.begin());
  if (found == request.task_ids.end() || group.task != request.tasks[place] ||
      group.policy_version != request.policy_version) {
    throw DataError(shard.string(), ": expected tasks of step ", request.step,
                    " under policy version ", request.policy_version, ", found task id ",
                    group.task_id, " (task ", group.task, ") of policy version ",
                    group.policy_version);
  }
  if (group.members.empty() || group.prompt.empty()) {
    throw DataError(shard.string(), ": task id ", group.task_id, " has ", group.prompt.size(),
                    " prompt tokens and ", group.members.size(),
                    " completions; expected at least one of each");
  }
  for (const Trajectory& member : group.members) CheckMember(group, member, shard);
  return place;
}

std::vector<Group> GroupsOf(const ShardSource& shard) {
  if (shard.bytes.empty()) return ReadShard(shard.path);
  return DecodeShard(shard.bytes, shard.path.string());
}

Advantages CreditOf(const Group& group, const CreditOptions& credit) {
  std::vector<const Verdict*> verdicts;
  for (const Trajectory& member : group.members) verdicts.push_back(&member.verdict);
  return ComputeAdvantages(verdicts, credit);
}

double StandardDeviation(const std::vector<Advantages>& advantages, int64_t tokens) {
  double sum = 0, squares = 0;
  for (const Advantages& group : advantages) {
    for (const std::vector<float>& member : group.tokens) {
      for (const double a : member) {
        sum += a;
        squares += a * a;
      }
    }
  }
  const double n = static_cast<double>(tokens), mean = sum / n;
  return std::sqrt(std::max(0.0, squares / n - mean * mean));
}

}  // namespace

GrpoBatch ReadGrpoBatch(const std::vector<ShardSource>& shards, const RolloutRequest& request,
                        const CreditOptions& credit) {
  GrpoBatch batch;
  batch.staleness = request.step - request.policy_version;
  batch.groups.resize(request.task_ids.size());
  for (const ShardSource& shard : shards) {
    for (Group& group : GroupsOf(shard)) {
      Group& place = batch.groups[PlaceOf(group, request, shard.path)];
      if (!place.members.empty()) {
        throw DataError(shard.path.string(), ": task id ", group.task_id,
                        " is there twice; expected it once in the shards of step ", request.step);
      }
      place = std::move(group);
    }
  }
  for (size_t g = 0; g < batch.groups.size(); ++g) {
    const Group& group = batch.groups[g];
    if (group.members.empty()) {
      throw DataError("step ", request.step, ": none of its ", shards.size(),
                      " shards holds task id ", request.task_ids[g]);
    }
    batch.advantages.push_back(CreditOf(group, credit));
    batch.totals.completions += static_cast<int64_t>(group.members.size());
    for (const Trajectory& member : group.members) {
      batch.totals.tokens += static_cast<int64_t>(member.tokens.size());
    }
  }
  return batch;
}

void ReportRewards(const GrpoBatch& batch, StepReport* report) {
  const double completions = static_cast<double>(batch.totals.completions);
  for (size_t g = 0; g < batch.groups.size(); ++g) {
    report->reward_std += batch.advantages[g].reward_std / static_cast<double>(batch.groups.size());
    for (const Trajectory& member : batch.groups[g].members) {
      const Verdict& verdict = member.verdict;
      report->reward_mean += verdict.reward / completions;
      report->phi_jaccard += verdict.phi_jaccard.back() / completions;
      report->phi_ddi += verdict.phi_ddi.back() / completions;
      report->phi_refusal += verdict.phi_refusal.back() / completions;
    }
  }
  report->advantage_std = StandardDeviation(batch.advantages, batch.totals.tokens);
  report->tokens_trained = batch.totals.tokens;
}

}  // namespace flame
