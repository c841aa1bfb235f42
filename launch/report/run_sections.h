// The sections of a run's page, as HTML. Each is "" if the run has nothing for it.
#ifndef FLAME_LAUNCH_REPORT_RUN_SECTIONS_H_
#define FLAME_LAUNCH_REPORT_RUN_SECTIONS_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "launch/report/run_view.h"
#include "launch/report/svg_plot.h"

namespace flame {

inline constexpr double kPlotWidth = 360;  // fits on a phone as it is

// Stages with their time, and what the preparation left of the tables' rows.
std::string StagesSection(const RunView& run);
std::string FunnelSection(const RunView& run);

// Learning curves of every training, phi's terms, and where the time of a GRPO step goes.
std::string CurvesSection(const RunView& run);
std::string TimeSection(const RunView& run);

// The rows of the evaluation, comparisons, groups of visits, calibration, abstention and errors.
std::string EvaluationSection(const RunView& run);

// Sampled groups: each step's phi, and the advantage under each token.
std::string SamplesSection(const RunView& run);

// A column of a training's metrics over its steps, in at most `bins` means of consecutive steps; no
// points if no row has it. The bars are the mean of column `spread`, if it is given, otherwise the
// standard deviation within the bin.
PlotSeries CurveOf(const std::vector<nlohmann::json>& rows, const std::string& column,
                   const std::string& name, const std::string& spread = "", size_t bins = 60);

// The reward of GRPO over the steps of these runs, which have at least one step together; a line
// each.
std::string RewardPlot(std::span<const RunView> runs, double width);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_RUN_SECTIONS_H_
