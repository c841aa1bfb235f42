#include "launch/report/run_page.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/progress.h"
#include "launch/report/html.h"
#include "launch/report/run_sections.h"

namespace flame {
namespace {

using nlohmann::json;

bool HasReward(const RunView& run) {
  const auto rows = run.metrics.find("grpo");
  return rows != run.metrics.end() && !rows->second.empty();
}

bool AnyReward(const std::vector<RunView>& runs) {
  return std::any_of(runs.begin(), runs.end(), HasReward);
}

// Says if the evaluation is not of the run's present policies.
std::string StaleEvaluation(const RunView& run) {
  for (const auto& [name, state] : run.stages) {
    if (name != "evaluate" || state.state == StageState::kDone) continue;
    return Paragraph(StrCat("These figures are not of the run as it is: the evaluation is ",
                            StateName(state.state), state.why.empty() ? "" : ": ", state.why, "."),
                     "warning");
  }
  return "";
}

std::string WhatItReached(const RunView& run) {
  const json ours = run.Row("list-grpo"), best = run.BestBaseline();
  if (ours.is_null() || best.is_null()) return Paragraph("Not evaluated yet.");
  std::string text =
      StrCat("list-grpo has a Jaccard of ", Fixed(ours.at("jaccard")), " [",
             Fixed(ours.at("jaccard_ci")[0]), ", ", Fixed(ours.at("jaccard_ci")[1]),
             "]; the best recommender that is no language model, ",
             best.at("policy").get<std::string>(), ", has ", Fixed(best.at("jaccard")));
  const json calibrated = run.Row("classifier-calibrated");
  if (!calibrated.is_null()) {
    text += "; the classifier at its best cut has " + Fixed(calibrated.at("jaccard"));
  }
  const json oracle = run.evaluation.value("oracle", json());
  if (oracle.is_object()) text += "; no policy can expect more than " + Fixed(oracle.at("list"));
  if (ours.value("edits", json()).is_number()) {
    text += ". list-grpo changes " + Fixed(ours.at("edits"), "%.2f") +
            " drugs a visit in the classifier's lists";
  }
  return StaleEvaluation(run) + Paragraph(text + ".");
}

std::string Faults(const RunView& run) {
  std::string items;
  for (const std::string& fault : run.faults) items += Tag("li", HtmlText(fault)) + "\n";
  return items.empty() ? "" : Heading(3, "Not readable") + Tag("ul", items);
}

// A section; what is wrong with a file that it reads, if it is not as this program writes it.
std::string Section(std::string (*section)(const RunView&), const char* file, const RunView& run) {
  try {
    return section(run);
  } catch (const json::exception& error) {
    return Paragraph(
        (run.dir / file).string() + " is not as this version writes it: " + error.what(),
        "warning");
  }
}

std::string RunBody(const RunView& run) {
  return WhatItReached(run) + Faults(run) + Section(EvaluationSection, "evaluation.json", run) +
         Section(CurvesSection, "*/metrics.jsonl", run) +
         Section(TimeSection, "grpo/metrics.jsonl", run) + SamplesSection(run) +
         FunnelSection(run) + StagesSection(run);
}

// One line per run: its main figures, and the difference from the first run's.
std::string Comparison(const std::vector<RunView>& runs) {
  HtmlTable table{{"run", "list-grpo", "less the first", "sampled", "DDI rate", "drugs",
                   "best baseline", "classifier-calibrated", "last reward", "time"},
                  {}};
  const json first = runs[0].Row("list-grpo");
  for (const RunView& run : runs) {
    const json ours = run.Row("list-grpo"), best = run.BestBaseline(),
               calibrated = run.Row("classifier-calibrated");
    double seconds = 0;
    for (const auto& [name, state] : run.stages) seconds += state.seconds;
    const auto figure = [](const json& row, const char* field, const char* format = "%.4f") {
      return row.is_null() || !row.value(field, json()).is_number() ? std::string("\xe2\x80\x93")
                                                                    : Fixed(row.at(field), format);
    };
    std::string difference;
    if (!ours.is_null() && !first.is_null() && &run != &runs[0]) {
      difference =
          Fixed(ours.at("jaccard").get<double>() - first.at("jaccard").get<double>(), "%+.4f");
    }
    const PlotSeries reward =
        HasReward(run) ? CurveOf(run.metrics.at("grpo"), "reward_mean", "") : PlotSeries{};
    table.rows.push_back(
        {HtmlText(run.name), figure(ours, "jaccard"), difference, figure(ours, "jaccard_sampled"),
         figure(ours, "ddi"), figure(ours, "drugs", "%.2f"),
         best.is_null() ? "\xe2\x80\x93"
                        : HtmlText(best.at("policy")) + " " + Fixed(best.at("jaccard")),
         figure(calibrated, "jaccard"),
         reward.points.empty() ? "\xe2\x80\x93" : Fixed(reward.points.back().y, "%+.4f"),
         HumanDuration(seconds)});
  }
  std::string html = Heading(2, "Comparison") + TableHtml(table);
  if (AnyReward(runs)) {
    html += "<div class=\"wide\">" + RewardPlot(runs, kPlotWidth) + "</div>\n";
  }
  if (runs.size() > kPlotColors) {
    html += Paragraph(StrCat("The plot shows the first ", kPlotColors, " runs."), "soft");
  }
  return html + Paragraph(
                    "Jaccards of different runs are of the same visits only where their data, "
                    "split and seed are the same; `flame evaluate --predictions` compares such "
                    "runs visit by visit.",
                    "soft");
}

}  // namespace

std::string StagesSection(const RunView& run) {
  if (run.stages.empty()) return "";
  double all = 0;
  for (const auto& [name, state] : run.stages) all += state.seconds;
  HtmlTable table{{"stage", "state", "time", ""}, {}};
  for (const auto& [name, state] : run.stages) {
    table.rows.push_back(
        {name, StateName(state.state),
         state.seconds > 0 ? BarCell(state.seconds / all, HumanDuration(state.seconds)) : "",
         WordCell(state.why)});
  }
  return Heading(2, "Stages") + TableHtml(table) + Paragraph("Next: " + run.NextCommand(), "soft");
}

std::string FunnelSection(const RunView& run) {
  if (run.data.empty()) return "";
  std::string html = Heading(2, "Data") + Paragraph(run.data + ".");
  if (run.funnel.empty()) return html;
  HtmlTable table{{"table", "after the rule", "rows left", "visits", "patients"}, {}};
  int64_t most = 1;
  for (const FunnelStep& step : run.funnel) most = std::max(most, step.rows);
  for (const FunnelStep& step : run.funnel) {
    const bool visits = step.visits >= 0;
    const std::string detail = step.detail.empty() ? "" : " (" + step.detail + ")";
    table.rows.push_back({HtmlText(step.table), WordCell(step.rule + detail),
                          BarCell(static_cast<double>(step.rows) / static_cast<double>(most),
                                  std::to_string(step.rows)),
                          visits ? std::to_string(step.visits) : "",
                          visits ? std::to_string(step.patients) : ""});
  }
  return html + TableHtml(table);
}

std::string RunPage(const std::vector<RunView>& runs, int refresh) {
  const bool one = runs.size() == 1;
  std::string html =
      PageHead(one ? "Run " + runs[0].name : StrCat(runs.size(), " runs"), refresh) +
      Heading(1, one ? "Run " + runs[0].name : StrCat(runs.size(), " runs")) +
      Paragraph(
          "Research software: this model and its recommendations must not be used to treat "
          "patients.",
          "warning");
  if (one) return html + RunBody(runs[0]) + kPageEnd;
  html += Comparison(runs);
  for (const RunView& run : runs) {
    html += "<details><summary>" + Heading(2, "Run " + run.name) + "</summary>\n" + RunBody(run) +
            "</details>\n";
  }
  return html + kPageEnd;
}

std::string RewardCurveSvg(const std::vector<RunView>& runs) {
  return AnyReward(runs) ? StandaloneSvg(RewardPlot(runs, /*width=*/720)) : "";
}

}  // namespace flame
