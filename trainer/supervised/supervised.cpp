#include "trainer/supervised/supervised.h"

#include <cstdio>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "trainer/supervised/early_stopping.h"

namespace flame {
namespace {

using nlohmann::json;

// The evaluations of a run; does nothing if loop.validate_every is 0.
class Validation {
 public:
  // Registers its state with the run's checkpoints. Call Resume once the run has resumed.
  Validation(const TrainingJob& job, const SupervisedLoop& loop, TrainingRun* run)
      : job_(job),
        label_(loop.run.label),
        evaluations_(loop.validate_every, loop.patience, loop.run.steps),
        on_(loop.validate_every > 0),
        best_(on_ ? run->parameters()->shards() : NamedTensors()) {
    if (!on_) return;
    loss_ = loop.validation();
    run->AddSharded("best.", best_.tensors());
    run->AddState("validation.losses", evaluations_.losses());
  }
  void Resume(int64_t step) { evaluations_.Resume(step); }
  const EarlyStopping& evaluations() const { return evaluations_; }

  // Evaluates if an evaluation is due after `step` updates, and adds it to the step's metrics row.
  void Evaluate(int64_t step, json* row) {
    if (!evaluations_.Due(step)) return;
    const auto start = Clock::now();
    const double loss = loss_();
    if (evaluations_.Record(loss)) best_.Keep();
    (*row)["validation_loss"] = loss;
    (*row)["validation_best_step"] = evaluations_.best_step();
    (*row)["validation_seconds"] = SecondsSince(start);
  }

  // Restores the best weights; rank 0 also writes validation.json.
  void Finish(TrainingRun* run) {
    if (!on_) return;
    best_.Restore();
    run->parameters()->Publish();
    if (run->rank() != 0) return;
    WriteValidation(evaluations_, job_.folder);
    LogInfo(label_, ": validation loss ", evaluations_.best_loss(), " after step ",
            evaluations_.best_step(), ", the lowest of ", evaluations_.count(), " evaluations",
            evaluations_.stopped_early() ? "; stopped early" : "");
  }

 private:
  const TrainingJob& job_;
  std::string label_;
  EarlyStopping evaluations_;
  bool on_;
  BestWeights best_;
  std::function<double()> loss_;
};

std::string LossNote(double loss) {
  char text[32];
  std::snprintf(text, sizeof(text), "loss %.4f", loss);
  return text;
}

// Writes metrics and shows progress, on rank 0 only.
class Reporter {
 public:
  Reporter(const TrainingJob& job, const SupervisedLoop& loop, const TrainingRun& run) {
    if (run.rank() != 0) return;
    metrics_.emplace(job.folder, run.step());
    progress_.emplace(loop.run.label, loop.run.steps, "step", run.step());
  }
  void Report(const json& row) {
    if (!metrics_) return;
    metrics_->Write(row);
    progress_->Step(LossNote(row.at("loss")));
  }

 private:
  std::optional<MetricsSink> metrics_;
  std::optional<Progress> progress_;
};

void TrainToTheEnd(const TrainingJob& job, const SupervisedLoop& loop, TrainingRun* run,
                   Validation* validation) {
  Reporter reporter(job, loop, *run);
  while (!run->done() && !validation->evaluations().stopped()) {
    json row = loop.step(run);
    row["step"] = run->step() + 1;
    validation->Evaluate(run->step() + 1, &row);
    reporter.Report(row);
    run->EndStep(row.at("loss"), validation->evaluations().stopped());
  }
}

}  // namespace

SupervisedReport RunSupervised(const TrainingJob& job, ShardedModel* model,
                               const NamedTensors& trainable, const SupervisedLoop& loop,
                               const std::function<void()>& end) {
  TrainingRun run(job, model, trainable, loop.run);
  Validation validation(job, loop, &run);
  for (const auto& [name, tensor] : loop.state) run.AddState("state." + name, tensor);
  run.Resume();
  validation.Resume(run.step());
  const bool finished = run.done() || validation.evaluations().stopped();
  if (!finished) TrainToTheEnd(job, loop, &run, &validation);
  validation.Finish(&run);
  run.Finish();
  if (end) end();
  return {run.step(), run.FirstMean(0.05), run.LastMean(0.05),
          validation.evaluations().best_step()};
}

}  // namespace flame
