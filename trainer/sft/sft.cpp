#include "trainer/sft/sft.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "trainer/losses.h"
#include "trainer/micro_batch.h"
#include "trainer/sft/sft_order.h"
#include "trainer/sft/validation.h"
#include "trainer/supervised/supervised.h"
#include "trainer/training_run.h"

namespace flame {
namespace {

SftOrder OrderOf(const SftJob& job) {
  return {{job.seed, job.num_examples, job.options.batch, job.options.sort_window},
          [&job](int64_t example) { return job.example(example, 0).family.NumTokens(); }};
}

TrainingRunOptions RunOptionsOf(const SftJob& job, int64_t steps) {
  TrainingRunOptions options;
  options.label = job.label;
  options.optimizer = job.options.optimizer;
  options.retention = {job.options.keep_last, job.options.keep_best, /*highest=*/false};
  options.steps = steps;
  options.checkpoint_every = job.options.checkpoint_every;
  return options;
}

// One rank's examples of a step.
struct Share {
  std::vector<Family> families;
  std::vector<std::vector<double>> weights;  // [family][branch]
  std::vector<std::vector<EarlyAnswer>>
      early_answers;              // [family][branch], with shares of this step
  double tokens = 0, weight = 0;  // asked-for tokens; sum of their weights
};

double AskedFor(const Branch& branch) {
  return static_cast<double>(static_cast<int64_t>(branch.tokens.size()) - branch.loss_from);
}

// Returns the share of an example's early weights at a step of a training, from 1 down to 0.
double EarlyShare(int64_t step, int64_t steps) {
  return std::max(0.0, 1 - static_cast<double>(step) / (kEarlyShare * static_cast<double>(steps)));
}

// Returns the early answers with their shares at a step; none once they do not count.
std::vector<EarlyAnswer> EarlyAnswersAt(std::vector<EarlyAnswer> answers, double early) {
  if (early == 0) return {};
  for (EarlyAnswer& answer : answers) answer.share *= early;
  return answers;
}

// Returns the weights of the example's branches at a step where its early weights have this share.
std::vector<double> WeightsAt(const SftExample& example, double early) {
  std::vector<double> weights = example.weights;
  if (weights.empty()) weights.assign(example.family.branches.size(), 1);
  for (size_t b = 0; b < example.early_weights.size(); ++b) {
    weights[b] += early * (example.early_weights[b] - weights[b]);
  }
  return weights;
}

Share LocalShare(const SftJob& job, const TrainingRun& run, SftOrder* order) {
  Share share;
  const int64_t epoch = run.step() / order->StepsPerEpoch();
  const double early = EarlyShare(run.step(), order->StepsPerEpoch() * job.options.epochs);
  for (const int64_t at : ShareOf(order->Step(run.step()), run.rank(), run.size())) {
    SftExample example = job.example(at, epoch);
    example.family.number = at;
    example.weights = WeightsAt(example, early);
    for (size_t b = 0; b < example.family.branches.size(); ++b) {
      const double tokens = AskedFor(example.family.branches[b]);
      share.tokens += tokens;
      share.weight += tokens * example.weights[b];
    }
    share.families.push_back(std::move(example.family));
    share.weights.push_back(std::move(example.weights));
    share.early_answers.push_back(EarlyAnswersAt(std::move(example.early_answers), early));
  }
  return share;
}

struct StepResult {
  double loss = 0, tokens_trained = 0, tokens_packed = 0, micro_batches = 0;
  TrainingRun::Update update;
};

// The tokens that the loss asks for and their weights, [N, 1], or [N, 2] with early answers in the
// second column.
struct Asked {
  at::Tensor targets, weights;
};

Asked AskedOf(const Share& share, const MicroBatch& micro_batch, const FamilyBatch& batch) {
  const bool early = std::any_of(share.early_answers.begin(), share.early_answers.end(),
                                 [](const auto& answers) { return !answers.empty(); });
  const int64_t columns = early ? 2 : 1;
  Asked asked{batch.targets.unsqueeze(1).repeat({1, columns}),
              at::zeros({batch.targets.numel(), columns}, at::kDouble)};
  int64_t* targets = asked.targets.mutable_data_ptr<int64_t>();
  double* weights = asked.weights.mutable_data_ptr<double>();
  for (size_t i = 0; i < micro_batch.branches.size(); ++i) {
    const BranchPlace& place = micro_batch.branches[i];
    const double weight = share.weights[place.family][place.branch];
    const int64_t end = batch.target_offsets[i + 1];
    for (int64_t n = batch.target_offsets[i]; n < end; ++n) weights[n * columns] = weight;
    const std::vector<EarlyAnswer>& answers = share.early_answers[place.family];
    if (answers.empty() || end == batch.target_offsets[i]) continue;
    const EarlyAnswer& answer = answers[place.branch];
    weights[(end - 1) * 2] = weight * (1 - answer.share);
    weights[(end - 1) * 2 + 1] = weight * answer.share;
    targets[(end - 1) * 2 + 1] = answer.token;
  }
  return asked;
}

// Adds the micro-batch's gradient to the parameters' gradients, and its loss and packed tokens to
// `local`.
void Backward(const SftJob& job, const Share& share, const MicroBatch& micro_batch,
              double total_weight, uint64_t dropout_seed, StepResult* local) {
  const FamilyBatch batch = PackFamilies(micro_batch.families);
  const at::Tensor hidden =
      job.policy->Hidden(batch, {.dropout_seed = dropout_seed, .recompute = job.recompute});
  const Asked asked = AskedOf(share, micro_batch, batch);
  const at::Tensor logprobs = job.policy->LogProbs(hidden, batch.sources, asked.targets);
  const at::Tensor weights = asked.weights.to(logprobs.options());
  const at::Tensor loss = NegativeLogLikelihood(logprobs, weights, total_weight);
  loss.backward();
  local->loss += loss.item<double>();
  local->tokens_packed += static_cast<double>(batch.tokens.numel());
  local->micro_batches += micro_batch.branches.empty() ? 0 : 1;
}

StepResult TrainStep(const SftJob& job, TrainingRun* run, SftOrder* order) {
  const Share share = LocalShare(job, *run, order);
  const std::vector<double> totals = SumOverRanks(job.learners, {share.tokens, share.weight});
  if (totals[1] == 0) {
    throw DataError(job.label, ": the examples of step ", run->step() + 1, " ask for ", totals[0],
                    " tokens, of no weight; expected at least one with a weight");
  }
  run->BeginUpdate();
  StepResult local;
  std::vector<MicroBatch> passes = CutMicroBatches(share.families, job.options.token_budget);
  passes.resize(run->CountPasses(static_cast<int64_t>(passes.size())), IdlePass());
  for (const MicroBatch& pass : passes) {
    run->BeginPass();
    Backward(job, share, pass, totals[1], run->DropoutSeed(), &local);
    run->EndPass();
  }
  const std::vector<double> sums =
      SumOverRanks(job.learners, {local.loss, local.tokens_packed, local.micro_batches});
  return {sums[0], totals[0], sums[1], sums[2], run->EndUpdate()};
}

nlohmann::json MetricsOf(const StepResult& result, double seconds) {
  return {{"loss", result.loss},
          {"grad_norm", result.update.grad_norm},
          {"learning_rate", result.update.learning_rate},
          {"tokens_trained", static_cast<int64_t>(result.tokens_trained)},
          {"tokens_packed", static_cast<int64_t>(result.tokens_packed)},
          {"micro_batches", static_cast<int64_t>(result.micro_batches)},
          {"seconds", seconds},
          {"tokens_per_second", seconds > 0 ? result.tokens_packed / seconds : 0}};
}

// Returns the function that computes the loss on the job's validation examples.
std::function<double()> ValidationLoss(const SftJob& job) {
  return [&job, examples = ValidationSet(job.validation(), job.options.token_budget)] {
    return examples.Loss(*job.policy, job.learners);
  };
}

}  // namespace

SftReport RunSft(const SftJob& job) {
  if (job.num_examples <= 0) {
    throw DataError(job.label, ": there are no examples to train on; expected at least one");
  }
  SftOrder order = OrderOf(job);
  SupervisedLoop loop;
  loop.run = RunOptionsOf(job, job.options.epochs * order.StepsPerEpoch());
  loop.validate_every = job.options.validate_every;
  loop.patience = job.options.patience;
  loop.step = [&](TrainingRun* run) {
    const auto start = Clock::now();
    const StepResult result = TrainStep(job, run, &order);
    return MetricsOf(result, SecondsSince(start));
  };
  loop.validation = [&job] { return ValidationLoss(job); };
  return RunSupervised(job, job.policy, job.policy->SelectTrainable(job.trainable), loop, [&job] {
    if (job.end) job.end(*job.policy);
  });
}

}  // namespace flame
