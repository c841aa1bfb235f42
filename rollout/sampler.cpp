#include "rollout/sampler.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "model/decoder.h"
#include "rollout/worker.h"

namespace flame {

Choice ChooseToken(const float* logits, int64_t vocab_size, double temperature, double uniform) {
  const float* largest = std::max_element(logits, logits + vocab_size);
  const double scale = temperature == 0 ? 1 : 1 / temperature;
  std::vector<double> cumulative(vocab_size);
  double sum = 0;
  for (int64_t id = 0; id < vocab_size; ++id) {
    sum += std::exp((static_cast<double>(logits[id]) - *largest) * scale);
    cumulative[id] = sum;
  }
  if (!std::isfinite(sum)) return {};
  int64_t chosen = largest - logits;
  if (temperature != 0) {
    chosen =
        std::upper_bound(cumulative.begin(), cumulative.end(), uniform * sum) - cumulative.begin();
  }
  const double logprob = (static_cast<double>(logits[chosen]) - *largest) * scale - std::log(sum);
  return {static_cast<int32_t>(chosen), static_cast<float>(logprob)};
}

double SamplingUniform(uint64_t seed, int64_t task_id, int64_t member, int64_t position) {
  // A stream is named by 32 bits of the task; the rest of them go into the seed.
  constexpr uint64_t kOddConstant = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  const auto task = static_cast<uint64_t>(task_id);
  return RandomStream(seed + (task >> 32) * kOddConstant, kSampling, static_cast<uint32_t>(task),
                      static_cast<uint32_t>(member))
      .UniformAt(static_cast<uint32_t>(position));
}

namespace {

// A member being decoded: row r of the decoder is rows[r].
struct Row {
  size_t group = 0, member = 0;
};

// The next token of every row.
std::vector<Choice> ChooseTokens(const RolloutContext& context, const at::Tensor& logits,
                                 const std::vector<Row>& rows, const std::vector<Group>& groups) {
  const at::Tensor table = logits.contiguous();
  const int64_t vocab_size = table.size(1);
  const float* data = table.const_data_ptr<float>();
  std::vector<Choice> choices(rows.size());
  at::parallel_for(0, static_cast<int64_t>(rows.size()), 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const Group& group = groups[rows[r].group];
      const size_t position = group.members[rows[r].member].tokens.size();
      const double uniform = SamplingUniform(context.seed, group.task_id, rows[r].member, position);
      choices[r] =
          ChooseToken(data + r * vocab_size, vocab_size, context.sampling.temperature, uniform);
    }
  });
  return choices;
}

// Appends a token to every row's member. Returns the rows that go on, by index.
std::vector<int64_t> Extend(const RolloutContext& context, const at::Tensor& logits,
                            const std::vector<Row>& rows, std::vector<Group>* groups) {
  const std::vector<Choice> choices = ChooseTokens(context, logits, rows, *groups);
  std::vector<int64_t> unfinished;
  for (size_t r = 0; r < rows.size(); ++r) {
    Group& group = (*groups)[rows[r].group];
    Trajectory& member = group.members[rows[r].member];
    if (choices[r].token < 0) {
      throw MachineError("rank ", context.rank, ": the policy of version ", group.policy_version,
                         " gives logits that are not finite for task ", group.task_id, ", member ",
                         rows[r].member, ", position ", member.tokens.size());
    }
    member.tokens.push_back(choices[r].token);
    member.logprobs.push_back(choices[r].logprob);
    const bool ended = choices[r].token == context.prompts->end_id();
    const auto length = static_cast<int64_t>(member.tokens.size());
    if (!ended && length < context.sampling.max_tokens) unfinished.push_back(r);
  }
  return unfinished;
}

// Completes the members of groups [begin, end).
void Decode(const RolloutContext& context, size_t begin, size_t end, std::vector<Group>* groups) {
  std::vector<std::vector<int32_t>> trunks;
  std::vector<Row> rows;
  for (size_t g = begin; g < end; ++g) {
    trunks.push_back((*groups)[g].prompt);
    for (size_t m = 0; m < (*groups)[g].members.size(); ++m) rows.push_back({g, m});
  }
  Decoder decoder(*context.policy, /*adapters=*/true);
  at::Tensor logits =
      decoder.Prefill(trunks, context.sampling.group_size, context.sampling.max_tokens);
  while (true) {
    const std::vector<int64_t> kept = Extend(context, logits, rows, groups);
    if (kept.empty()) return;
    std::vector<Row> going_on;
    std::vector<int64_t> tokens;
    for (int64_t r : kept) {
      going_on.push_back(rows[r]);
      tokens.push_back((*groups)[rows[r].group].members[rows[r].member].tokens.back());
    }
    if (kept.size() < rows.size()) decoder.Keep(kept);
    rows = std::move(going_on);
    logits = decoder.Step(at::tensor(tokens, at::kLong));
  }
}

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
  group.members.resize(context.sampling.group_size);
  return group;
}

}  // namespace

std::vector<Group> SampleGroups(const RolloutContext& context, const RolloutRequest& request) {
  // Enough rows to keep the matrix products busy; more would only hold more keys and values.
  constexpr int64_t kRows = 256;
  if (request.task_ids.size() != request.tasks.size()) {
    throw UsageError("a rollout request has ", request.task_ids.size(), " task ids and ",
                     request.tasks.size(), " tasks; expected as many");
  }
  std::vector<Group> groups;
  for (size_t i = 0; i < request.tasks.size(); ++i) {
    groups.push_back(StartGroup(context, request, i));
  }
  const size_t at_once = std::max<int64_t>(1, kRows / context.sampling.group_size);
  for (size_t begin = 0; begin < groups.size(); begin += at_once) {
    Decode(context, begin, std::min(groups.size(), begin + at_once), &groups);
  }
  return groups;
}

}  // namespace flame
