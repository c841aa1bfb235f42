#include "recommend/list_inference.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/progress.h"
#include "base/signals.h"
#include "reward/service.h"
#include "rollout/worker.h"

namespace flame {
namespace {

constexpr int64_t kTasksABatch = 64;

std::vector<int32_t> Difference(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  std::vector<int32_t> rest;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(rest));
  return rest;
}

// Makes two tasks per visit: 2i (Add) and 2i + 1 (Remove) for visit i.
std::vector<ListTask> EditTasks(const std::vector<int32_t>& visits,
                                const std::vector<std::vector<int32_t>>& inputs) {
  std::vector<ListTask> tasks;
  for (size_t i = 0; i < visits.size(); ++i) {
    tasks.push_back({visits[i], Edit::kAdd, inputs[i], {}});
    tasks.push_back({visits[i], Edit::kRemove, inputs[i], {}});
  }
  return tasks;
}

// A task's lists as the reward layer reads them. The last is the greedy one.
struct EditedTask {
  std::vector<std::vector<int32_t>> lists;  // [sample]
  std::vector<float> phi;                   // of the greedy list's states
};

// Samples every task.
std::vector<EditedTask> EditedLists(const Materials& materials, const RewardOptions& reward,
                                    const RolloutContext& context, const std::string& label) {
  const std::vector<ListTask>& tasks = *context.tasks;
  // Only the edited lists are needed, so no external program has to score them.
  RewardOptions options = reward;
  options.external.clear();
  const Scorer scorer(materials.corpus, materials.tokenizer, materials.prompts->end_id(), options);
  Progress progress(label, static_cast<int64_t>(tasks.size()), "list");
  std::vector<EditedTask> edited(tasks.size());
  for (int64_t begin = 0; begin < static_cast<int64_t>(tasks.size()); begin += kTasksABatch) {
    StopIfRequested();
    RolloutRequest request;
    const int64_t end = std::min<int64_t>(begin + kTasksABatch, static_cast<int64_t>(tasks.size()));
    for (int64_t task = begin; task < end; ++task) {
      request.task_ids.push_back(task);
      request.tasks.push_back(static_cast<int32_t>(task));
    }
    for (const Group& group : SampleGroups(context, request)) {
      const ListTask& task = tasks[group.task];
      ScoreRequest score{group.task_id, task.visit, task.edit, task.input, {}};
      for (const Trajectory& member : group.members) score.completions.push_back(member.tokens);
      EditedTask& made = edited[group.task];
      for (Verdict& verdict : scorer.Score(score)) {
        made.lists.push_back(std::move(verdict.final_list));
        made.phi = std::move(verdict.phi);
      }
    }
    progress.Add(end - begin);
  }
  return edited;
}

}  // namespace

ListPredictions PredictLists(const ListInferenceOptions& options, const Materials& materials,
                             Policy* policy, const std::vector<int32_t>& visits,
                             const std::vector<std::vector<int32_t>>& inputs,
                             const std::string& label) {
  const std::vector<ListTask> tasks = EditTasks(visits, inputs);
  RolloutContext context;
  context.policy = policy;
  context.prompts = materials.prompts.get();
  context.tasks = &tasks;
  context.sampling = options.sampling;
  context.sampling.group_size += 1;
  context.sampling.greedy_last = true;
  const std::optional<LineTrie> lines = AllowedLines(options.sampling, materials);
  context.lines = lines ? &*lines : nullptr;
  context.seed = options.seed;
  const std::vector<EditedTask> edited = EditedLists(materials, options.reward, context, label);
  ListPredictions predictions;
  for (size_t i = 0; i < visits.size(); ++i) {
    std::vector<int32_t> input = inputs[i];
    std::sort(input.begin(), input.end());
    const EditedTask &added = edited[2 * i], &removed = edited[2 * i + 1];
    std::vector<std::vector<int32_t>>& sets = predictions.sampled.emplace_back();
    for (size_t k = 0; k < added.lists.size(); ++k) {
      sets.push_back(Difference(added.lists[k], Difference(input, removed.lists[k])));
    }
    predictions.greedy.push_back(std::move(sets.back()));
    sets.pop_back();
    const size_t num_added = added.lists.back().size() - input.size();
    const size_t num_removed = Difference(input, removed.lists.back()).size();
    predictions.edits.push_back(static_cast<int64_t>(num_added + num_removed));
    predictions.phi_add.push_back(added.phi);
    predictions.phi_remove.push_back(removed.phi);
  }
  return predictions;
}

}  // namespace flame
