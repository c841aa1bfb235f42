#include <utility>

#include "base/error.h"
#include "rollout/completion.h"
#include "rollout/worker.h"

namespace flame {
namespace {

Group StartGroup(const RolloutContext& context, const RolloutRequest& request, size_t i) {
  const int32_t index = request.tasks[i];
  if (index < 0 || static_cast<size_t>(index) >= context.tasks->size()) {
    throw DataError("task ", request.task_ids[i], " is number ", index, " of the task list; ",
                    "expected 0..", static_cast<int64_t>(context.tasks->size()) - 1);
  }
  const ListTask& task = (*context.tasks)[index];
  Group group{request.task_ids[i],
              index,
              request.policy_version,
              context.prompts->ListTrunk(task.visit),
              {}};
  const std::vector<int32_t> question = context.prompts->ListQuestion(task.input, task.edit);
  group.prompt.insert(group.prompt.end(), question.begin(), question.end());
  return group;
}

CompletionOptions OptionsOf(const RolloutContext& context) {
  CompletionOptions options;
  options.members = context.sampling.group_size;
  options.max_tokens = context.sampling.max_tokens;
  options.rule = context.sampling.Rule();
  options.greedy_last = context.sampling.greedy_last;
  options.seed = context.seed;
  options.end_ids = {context.prompts->end_id()};
  options.lines = context.lines;
  return options;
}

}  // namespace

std::vector<Group> SampleGroups(const RolloutContext& context, const RolloutRequest& request) {
  if (request.task_ids.size() != request.tasks.size()) {
    throw UsageError("a rollout request has ", request.task_ids.size(), " task ids and ",
                     request.tasks.size(), " tasks; expected as many");
  }
  std::vector<Group> groups;
  std::vector<CompletionPrompt> prompts;
  for (size_t i = 0; i < request.tasks.size(); ++i) {
    groups.push_back(StartGroup(context, request, i));
    prompts.push_back({groups.back().prompt, groups.back().task_id});
  }
  std::vector<std::vector<Completion>> completions;
  try {
    completions = CompletePrompts(*context.policy, prompts, OptionsOf(context));
  } catch (const MachineError& error) {
    throw MachineError("rank ", context.rank, ", policy version ", request.policy_version, ": ",
                       error.what());
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    for (Completion& member : completions[i]) {
      groups[i].members.push_back({std::move(member.tokens), std::move(member.logprobs), {}});
    }
  }
  return groups;
}

}  // namespace flame
