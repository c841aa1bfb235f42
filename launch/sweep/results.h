// The state and results of a sweep, which `status` and `report` read from its folder while it runs
// or afterwards.
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

// Writes dir/sweep.json: the sweep as the last worker that joined it knows it, so that its folder
// can be read without the sweep's file and configs.
void WriteSweepRecord(const SweepFile& file, const std::vector<Trial>& trials,
                      const std::vector<SweepJob>& jobs);

// A job's status according to its attempts.
struct JobStatus {
  JobState state = JobState::kWaiting;
  int64_t attempts = 0;
  std::string owner;   // owner of the latest attempt; "" before the first
  double silence = 0;  // seconds since the owner last wrote, by this host's clock
};

// The rewards of one GRPO step: mean of R, and its standard deviation within a group.
struct StepReward {
  int64_t step = 0;
  double mean = 0, deviation = 0;
};

struct TrialResult {
  std::string id;
  Settings settings;  // without run.seed
  int64_t seed = 0;
  JobStatus status;
  nlohmann::json evaluation;  // evaluation.json; null unless the trial is done and whole
  nlohmann::json row;         // row of the criterion's policy in it; null likewise
  std::string damage;         // the damaged file and its fault; empty: not done, or not damaged
  std::vector<StepReward> learning;  // filled by ReadLearning
};

// Returns "damaged" or the name of the trial's state.
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

// Reads a sweep by its file or folder `place`. A done trial whose evaluation.json is not whole is
// damaged and has no row. Throws DataError if no sweep was started there.
SweepResults ReadSweepResults(const std::filesystem::path& place);

// Returns "waiting", "running", "done" or "failed".
const char* NameOf(JobState state);

// Mean over seeds and, for two or more seeds, the half width of its 95 % t-interval.
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
  bool complete = false;                   // true: all its trials are done and whole
  std::map<std::string, Summary> columns;  // numbers of the criterion's row, over trials with a row
};
// Returns the points in the order of their first trials.
std::vector<SweepPoint> PointsOf(const SweepResults& results);

// Returns the mean of maximize - ddi_weight * ddi; nullopt if the point is not complete or its mean
// DDI rate is above ddi_at_most.
std::optional<double> ScoreOf(const SweepPoint& point, const SweepCriterion& criterion);
// Returns the index of the point with the highest score, the first of equals; nullopt if no point
// has a score.
std::optional<size_t> BestPoint(const std::vector<SweepPoint>& points,
                                const SweepCriterion& criterion);
// Returns text such as "highest jaccard of list-grpo with a DDI rate of at most 0.13".
std::string CriterionText(const SweepCriterion& criterion);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_RESULTS_H_
