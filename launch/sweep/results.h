// What a sweep has come to: read from its folder while it runs or after, by status and report.
#ifndef FLAME_LAUNCH_SWEEP_RESULTS_H_
#define FLAME_LAUNCH_SWEEP_RESULTS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "launch/sweep/claims.h"
#include "launch/sweep/trials.h"

namespace flame {

// dir/sweep.json: the sweep as the last worker that joined it had it, so that its folder tells
// what it is without its files.
void WriteSweepRecord(const SweepFile& file, const std::vector<Trial>& trials,
                      const std::vector<SweepJob>& jobs);

// What the attempts at a job tell.
struct JobStatus {
  JobState state = JobState::kWaiting;
  int64_t attempts = 0;
  std::string owner;   // of the latest attempt, "" before the first
  double silence = 0;  // seconds since the owner was heard of, by this host's clock
};

// Of one step of GRPO: mean of R, and its standard deviation within a group.
struct StepReward {
  int64_t step = 0;
  double mean = 0, deviation = 0;
};

struct TrialResult {
  std::string id;
  Settings settings;  // run.seed aside
  int64_t seed = 0;
  JobStatus status;
  nlohmann::json evaluation;  // evaluation.json, null unless done and whole
  nlohmann::json row;         // its row of the criterion's policy, null likewise
  std::string damage;         // of a done trial: which file lacks what; empty where it is whole
  std::vector<StepReward> learning;  // ReadLearning's
};

// "damaged", or the name of its state.
std::string StateText(const TrialResult& trial);

struct SharedStage {
  std::string name;
  JobStatus status;
};

struct SweepResults {
  std::filesystem::path dir;
  SweepCriterion criterion;
  double heartbeat_deadline = 0;  // seconds
  std::vector<SharedStage> stages;
  std::vector<TrialResult> trials;
};

// `place` is the sweep's file or folder. A done trial whose evaluation.json is not whole is
// damaged, and has no row. Throws DataError where no sweep was started there.
SweepResults ReadSweepResults(const std::filesystem::path& place);

// "waiting", "running", "done", "failed".
const char* NameOf(JobState state);

// Mean over seeds, and where there are two or more the half width of its 95 % t-interval.
struct Summary {
  int64_t count = 0;
  double mean = 0;
  std::optional<double> half_width;
};
Summary Summarize(const std::vector<double>& values);

// The trials that differ in their seed only.
struct SweepPoint {
  Settings settings;
  std::vector<size_t> trials;              // indices into SweepResults::trials
  bool complete = false;                   // all of them are done and whole
  std::map<std::string, Summary> columns;  // numbers of the criterion's row, over those done
};
// In the order of the trials.
std::vector<SweepPoint> PointsOf(const SweepResults& results);

// Mean of maximize - ddi_weight * ddi; nothing where a point is not complete, or where its mean DDI
// rate is above ddi_at_most.
std::optional<double> ScoreOf(const SweepPoint& point, const SweepCriterion& criterion);
// Index of the point with the highest score, the first of equals; nothing where none has one.
std::optional<size_t> BestPoint(const std::vector<SweepPoint>& points,
                                const SweepCriterion& criterion);
// "highest jaccard of list-grpo with a DDI rate of at most 0.13", means over seeds.
std::string CriterionText(const SweepCriterion& criterion);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_RESULTS_H_
