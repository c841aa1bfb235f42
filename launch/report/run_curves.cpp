#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "base/progress.h"
#include "launch/report/html.h"
#include "launch/report/run_sections.h"

namespace flame {
namespace {

using nlohmann::json;
using Rows = std::vector<json>;

const Rows& RowsOf(const RunView& run, const std::string& stage) {
  static const Rows kNone;
  const auto rows = run.metrics.find(stage);
  return rows == run.metrics.end() ? kNone : rows->second;
}

std::string Plot(const std::string& title, const std::string& y, std::vector<PlotSeries> series) {
  std::erase_if(series, [](const PlotSeries& one) {
    return std::all_of(one.points.begin(), one.points.end(),
                       [](const PlotPoint& point) { return point.y == 0; });
  });
  return series.empty() ? "" : LinePlot(title, "step", y, series, kPlotWidth);
}

// A loss over its steps, but for the first ones: against these the others look alike.
std::string LossPlot(const std::string& title, const Rows& rows) {
  const size_t first = rows.size() < 100 ? 0 : rows.size() / 20;
  return Plot(title, "loss",
              {CurveOf({rows.begin() + static_cast<int64_t>(first), rows.end()}, "loss", "")});
}

size_t RanksOf(const RunView& run, const std::string& stage) {
  for (const auto& [name, state] : run.stages) {
    if (name == stage) return state.ranks;
  }
  return 0;
}

std::string Plots(const std::string& plots) {
  return plots.empty() ? "" : "<div class=\"plots\">\n" + plots + "</div>\n";
}

double SumOf(const Rows& rows, const char* column) {
  double sum = 0;
  for (const json& row : rows) {
    const json value = row.value(column, json());
    if (value.is_number()) sum += value.get<double>();
  }
  return sum;
}

std::string Validation(const Rows& rows, const std::string& stage) {
  return Plot(stage + ": loss on validation visits", "loss",
              {CurveOf(rows, "validation_loss", "")});
}

std::string PhiPlots(const Rows& rows) {
  std::vector<PlotSeries> terms, shares;
  for (const char* term : {"jaccard", "ddi", "refusal"}) {
    const std::string name = term;
    terms.push_back(CurveOf(rows, "term_" + name + "_mean", name));
    shares.push_back(CurveOf(rows, "step_" + name + "_share", name));
  }
  for (auto* all : {&terms, &shares}) {
    for (PlotSeries& series : *all) {
      series.band = false;
      for (PlotPoint& point : series.points) point.y_half.reset();
    }
  }
  return Plot("Terms of phi at the end of a list", "weighted term", terms) +
         Plot("Shares of the terms in the changes of phi", "share", shares);
}

}  // namespace

PlotSeries CurveOf(const Rows& rows, const std::string& column, const std::string& name,
                   const std::string& spread, size_t bins) {
  std::vector<const json*> known;
  for (const json& row : rows) {
    if (row.value(column, json()).is_number()) known.push_back(&row);
  }
  PlotSeries series{name, {}, true, known.size() == 1, /*band=*/true};
  const size_t in_a_bin = std::max<size_t>(1, (known.size() + bins - 1) / bins);
  for (size_t begin = 0; begin < known.size(); begin += in_a_bin) {
    const size_t end = std::min(begin + in_a_bin, known.size());
    const auto count = static_cast<double>(end - begin);
    double step = 0, sum = 0, squares = 0, given = 0;
    for (size_t i = begin; i < end; ++i) {
      const double value = known[i]->at(column);
      step += known[i]->at("step").get<double>();
      sum += value;
      squares += value * value;
      const json width = spread.empty() ? json() : known[i]->value(spread, json());
      if (width.is_number()) given += width.get<double>();
    }
    const double mean = sum / count;
    const double within = std::sqrt(std::max(0.0, squares / count - mean * mean));
    series.points.push_back({step / count, mean, {}, spread.empty() ? within : given / count, ""});
  }
  return series;
}

std::string RewardPlot(std::span<const RunView> runs, double width) {
  std::vector<PlotSeries> series;
  for (const RunView& run : runs) {
    PlotSeries curve =
        CurveOf(RowsOf(run, "grpo"), "reward_mean", runs.size() > 1 ? run.name : "", "reward_std");
    if (runs.size() > 1) {  // bands of several runs hide each other
      for (PlotPoint& point : curve.points) point.y_half.reset();
    }
    if (!curve.points.empty() && series.size() < kPlotColors) series.push_back(curve);
  }
  return LinePlot("Mean reward of sampled lists", "GRPO step", "phi(last) - phi(0)", series, width);
}

std::string CurvesSection(const RunView& run) {
  const Rows &classifier = RowsOf(run, "classifier"), &list = RowsOf(run, "list"),
             &grpo = RowsOf(run, "grpo");
  std::string losses = LossPlot("Classifier: loss on training visits", classifier) +
                       Validation(classifier, "Classifier") +
                       LossPlot("List policy, SFT: loss", list) + Validation(list, "List policy");
  std::string html;
  if (!losses.empty()) {
    html += Heading(3, "Supervised training") + Plots(losses) +
            Paragraph(
                "Means of consecutive steps; bands are their standard deviation. Training losses "
                "of 100 steps or more begin after their first twentieth.",
                "soft");
  }
  if (grpo.empty()) return html.empty() ? "" : Heading(2, "Learning") + html;
  html += Heading(3, "GRPO") +
          Plots(RewardPlot({&run, 1}, kPlotWidth) +
                Plot("Entropy of a token", "nats", {CurveOf(grpo, "entropy", "")}) +
                Plot("KL to the reference", "nats", {CurveOf(grpo, "kl", "")}) +
                Plot("Norm of the gradient", "norm", {CurveOf(grpo, "grad_norm", "")})) +
          Paragraph(
              "Bands are standard deviations: of the reward within groups, of the others between "
              "the steps of a point.",
              "soft") +
          Heading(3, "The potential phi") + Plots(PhiPlots(grpo)) +
          Paragraph(
              "Terms have their weights and signs: Jaccard, minus alpha times the DDI rate, "
              "minus beta times refusals.",
              "soft");
  return Heading(2, "Learning") + html;
}

std::string TimeSection(const RunView& run) {
  const Rows& rows = RowsOf(run, "grpo");
  const double all = SumOf(rows, "seconds");
  if (all <= 0) return "";
  const auto cell = [&](double seconds) {
    return BarCell(seconds / all,
                   StrCat(HumanDuration(seconds), ", ", Fixed(100 * seconds / all, "%.0f"), " %"));
  };
  const double rollout = SumOf(rows, "seconds_rollout"), reward = SumOf(rows, "seconds_reward");
  HtmlTable table{{"role", "works", "waits", "works on"}, {}};
  // One process has no roles that wait for each other.
  const bool apart = RanksOf(run, "grpo") > 1;
  const auto idle = [&](double seconds) { return apart ? cell(seconds) : std::string(); };
  table.rows = {
      {"learners", cell(SumOf(rows, "seconds_learn")), idle(SumOf(rows, "seconds_wait")),
       WordCell("updates; waits for lists")},
      {"rollout ranks", cell(rollout), idle(SumOf(rows, "seconds_rollout_idle")),
       WordCell("sampling")},
      {"reward ranks", cell(reward), idle(std::max(0.0, all - reward)),
       WordCell("phi of every state")},
      {"sending weights", cell(SumOf(rows, "seconds_sync")), "", WordCell("to rollout ranks")}};
  return Heading(2, "Time of GRPO steps") + TableHtml(table) +
         Paragraph(
             StrCat(rows.size(), " steps in ", HumanDuration(all), ". Shares are of that time. ",
                    apart ? "Roles work at the same time, on ranks of their own."
                          : "One process has all roles, one after the other."),
             "soft");
}

}  // namespace flame
