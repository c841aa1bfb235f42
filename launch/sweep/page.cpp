#include <algorithm>
#include <utility>

#include "base/error.h"
#include "launch/report/html.h"
#include "launch/report/svg_plot.h"
#include "launch/sweep/curves.h"
#include "launch/sweep/report.h"

namespace flame {
namespace {

using Strings = std::vector<std::string>;

constexpr size_t kBins = 30;  // most bins of a learning curve

// Returns the values of `key` in their order, without "".
Strings ValuesOf(const SweepResults& results, const std::string& key) {
  Strings values;
  for (const TrialResult& trial : results.trials) {
    const std::string value = ValueOf(trial.settings, key);
    if (!value.empty() && std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(value);
    }
  }
  return values;
}

bool Has(const Strings& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

class Page {
 public:
  explicit Page(const SweepResults& results)
      : results_(results),
        points_(PointsOf(results)),
        best_(BestPoint(points_, results.criterion)),
        keys_(VariedKeys(results)) {}

  std::string Html() const {
    return PageHead("Sweep " + results_.dir.filename().string()) + Opening() + Table() +
           TradeOff() + Curves() + HeatMaps() + Failures() + kPageEnd;
  }

 private:
  std::string Opening() const {
    std::map<std::string, int> counts;
    for (const TrialResult& trial : results_.trials) ++counts[StateText(trial)];
    std::string states;
    for (const auto& [state, count] : counts) {
      states += StrCat(states.empty() ? "" : ", ", count, " ", state);
    }
    std::string html =
        Tag("h1", HtmlText("Sweep " + results_.dir.filename().string())) + "\n" +
        Paragraph(StrCat(results_.trials.size(), " trials: ", states, ". ", InAll(), Split()),
                  "soft") +
        Paragraph(
            "Research software: these models and their recommendations must "
            "not be used to treat patients.",
            "warning") +
        LeftOut() + "<h2>Best</h2>\n";
    const std::string criterion = CriterionText(results_.criterion);
    if (!best_) {
      return html + Paragraph("No point meets the criterion: " + criterion +
                              ", over points whose trials are all done and whole.");
    }
    const SweepPoint& point = points_[*best_];
    return html +
           Paragraph(PointName(point.settings, keys_) + ": " + criterion + ", " +
                     Fixed(*ScoreOf(point, results_.criterion)) + " as the mean of " +
                     std::to_string(point.trials.size()) +
                     (point.trials.size() == 1 ? " seed." : " seeds.")) +
           Paragraph(
               "The best of many is partly luck: what it reaches here is more than it would on "
               "other patients. Judge it on a split that the choice has not seen.",
               "soft");
  }

  // Says which trials and points no mean, plot or choice on this page includes.
  std::string LeftOut() const {
    const auto trials = std::count_if(results_.trials.begin(), results_.trials.end(),
                                      [](const TrialResult& trial) { return trial.row.is_null(); });
    if (trials == 0) return "";
    const auto points = std::count_if(points_.begin(), points_.end(),
                                      [](const SweepPoint& point) { return !point.complete; });
    return Paragraph(StrCat("Left out: ", trials, " of ", results_.trials.size(),
                            " trials are not done or damaged, and in no mean or plot; ", points,
                            " of ", points_.size(),
                            " points with such trials cannot be the best."));
  }

  // Returns the settings that are the same in all trials.
  std::string InAll() const {
    Settings alike;
    for (const auto& setting : results_.trials[0].settings) {
      if (!Has(keys_, setting.first)) alike.push_back(setting);
    }
    return alike.empty() ? "" : "In all: " + SettingsText(alike) + ". ";
  }

  std::string Split() const {
    for (const TrialResult& trial : results_.trials) {
      if (trial.evaluation.is_null()) continue;
      return StrCat("Evaluated on ", trial.evaluation.at("num_visits").get<int64_t>(), " ",
                    trial.evaluation.at("split").get<std::string>(),
                    " visits; the DDI rate of what was prescribed there is ",
                    Fixed(trial.evaluation.at("truth").at("ddi")), ".");
    }
    return "";
  }

  std::string Table() const {
    const Strings columns = {"jaccard", "jaccard_sampled", "f1", "ddi", "drugs"};
    HtmlTable table{{"point", "seeds"}, {}};
    table.head.insert(table.head.end(), columns.begin(), columns.end());
    for (size_t i = 0; i < points_.size(); ++i) {
      const SweepPoint& point = points_[i];
      const auto any = point.columns.find("jaccard");
      Strings row = {
          HtmlText(PointName(point.settings, keys_)),
          StrCat(any == point.columns.end() ? 0 : any->second.count, " of ", point.trials.size())};
      for (const std::string& column : columns) row.push_back(Cell(point, column));
      if (i == best_) table.marked = {i};
      table.rows.push_back(std::move(row));
    }
    return "<h2>Points</h2>\n" +
           Paragraph(StrCat("Means over seeds of the policy ", results_.criterion.policy,
                            "; \xc2\xb1 is the half width of a 95 % t-interval over seeds."),
                     "soft") +
           TableHtml(table);
  }

  static std::string Cell(const SweepPoint& point, const std::string& column) {
    const auto found = point.columns.find(column);
    if (found == point.columns.end()) return "";
    const char* format = column == "drugs" ? "%.2f" : "%.4f";
    const Summary& summary = found->second;
    return Fixed(summary.mean, format) +
           (summary.half_width ? " \xc2\xb1 " + Fixed(*summary.half_width, format) : "");
  }

  // Returns the points with results as series along `key`: one per setting of the other keys.
  std::vector<PlotSeries> SeriesAlong(const std::string& key) const {
    Strings others = keys_;
    std::erase(others, key);
    std::vector<PlotSeries> series;
    for (const SweepPoint& point : points_) {
      const auto jaccard = point.columns.find("jaccard"), ddi = point.columns.find("ddi");
      if (jaccard == point.columns.end() || ddi == point.columns.end()) continue;
      const std::string name = others.empty() ? "" : PointName(point.settings, others);
      auto one = std::find_if(series.begin(), series.end(),
                              [&](const PlotSeries& known) { return known.name == name; });
      if (one == series.end()) one = series.insert(series.end(), PlotSeries{name, {}, true, true});
      one->points.push_back({ddi->second.mean, jaccard->second.mean, ddi->second.half_width,
                             jaccard->second.half_width, ValueOf(point.settings, key)});
    }
    return series;
  }

  std::string TradeOff() const {
    const std::string alpha = "reward.alpha";
    std::string html = "<h2>Jaccard against DDI rate</h2>\n";
    std::vector<PlotSeries> series = SeriesAlong(Has(keys_, alpha) ? alpha : "");
    if (series.empty()) return html + Paragraph("No trial is done yet.");
    const bool told_apart = series.size() <= kPlotColors;
    if (!told_apart) {  // shows all points as one cloud
      PlotSeries cloud{"", {}, false, true};
      for (const PlotSeries& one : series) {
        for (const PlotPoint& point : one.points) cloud.points.push_back(point);
      }
      for (PlotPoint& point : cloud.points) point.label.clear();
      series = {cloud};
    }
    const bool curves = told_apart && Has(keys_, alpha);
    const char* what = curves ? "Numbers at points are reward.alpha, a line follows it; bars are "
                                "95 % intervals over seeds."
                              : "A dot for each point; bars are 95 % intervals over seeds.";
    const std::string lines =
        told_apart ? "" : StrCat(" Lines and names are left out: more than ", kPlotColors, ".");
    return html + Paragraph(StrCat("Up and to the left is better. ", what, lines), "soft") +
           "<div class=\"wide\">\n" +
           LinePlot(
               curves ? "Jaccard against DDI rate over reward.alpha" : "Jaccard against DDI rate",
               "DDI rate", "Jaccard", series, /*width=*/720) +
           "</div>\n";
  }

  // Returns the key that distinguishes the curves: credit.lambda if it varies, since it shapes
  // learning, else the first key, preferably not reward.alpha.
  std::string CurveKey() const {
    if (Has(keys_, "credit.lambda")) return "credit.lambda";
    for (const std::string& key : keys_) {
      if (key != "reward.alpha") return key;
    }
    return keys_.empty() ? "" : keys_[0];
  }

  std::string Curves() const {
    const std::string key = CurveKey(), alpha = "reward.alpha";
    const Strings lines = key.empty() ? Strings{""} : ValuesOf(results_, key);
    // phi contains alpha, so rewards can be compared only within one alpha.
    const Strings panels =
        Has(keys_, alpha) && key != alpha ? ValuesOf(results_, alpha) : Strings{""};
    std::string html = "<h2>Learning curves</h2>\n";
    if (lines.size() > kPlotColors || panels.size() > 12) {
      return html + Paragraph(StrCat("Left out: ", key, " has ", lines.size(), " values and ",
                                     alpha, " ", panels.size(), "; expected at most ", kPlotColors,
                                     " and 12 for lines that can be told apart."));
    }
    std::string plots;
    for (const std::string& panel : panels) plots += Panel(alpha, panel, key, lines);
    if (plots.empty()) return html + Paragraph("No trial is done yet.");
    return html +
           Paragraph(
               "Means over seeds and over all other settings, of consecutive steps in at most "
               "30 bins. The reward's variance is that within groups, the square of "
               "reward_std.",
               "soft") +
           "<div class=\"plots\">\n" + plots + "</div>\n";
  }

  std::string Panel(const std::string& panel_key, const std::string& panel, const std::string& key,
                    const Strings& lines) const {
    std::vector<PlotSeries> means, variances;
    for (const std::string& value : lines) {
      std::vector<size_t> trials;
      for (size_t i = 0; i < results_.trials.size(); ++i) {
        const Settings& settings = results_.trials[i].settings;
        const bool in_panel = panel.empty() || ValueOf(settings, panel_key) == panel;
        if (in_panel && (value.empty() || ValueOf(settings, key) == value)) trials.push_back(i);
      }
      const Curve curve = MeanCurve(results_, trials, kBins);
      if (curve.step.empty()) continue;
      const std::string name = value.empty() ? "" : key + "=" + value;
      means.push_back(ToSeries(name, curve.step, curve.reward_mean));
      variances.push_back(ToSeries(name, curve.step, curve.reward_variance));
    }
    if (means.empty()) return "";
    const std::string where = panel.empty() ? "" : ", " + panel_key + "=" + panel;
    return LinePlot("Reward" + where, "GRPO step", "mean reward", means) +
           LinePlot("Variance of the reward" + where, "GRPO step", "variance", variances);
  }

  static PlotSeries ToSeries(const std::string& name, const std::vector<double>& x,
                             const std::vector<double>& y) {
    PlotSeries series{name, {}, true, x.size() == 1};
    for (size_t i = 0; i < x.size(); ++i) series.points.push_back({x[i], y[i], {}, {}, ""});
    return series;
  }

  std::string HeatMaps() const {
    Strings two;
    for (const char* key : {"reward.alpha", "credit.lambda"}) {
      if (Has(keys_, key)) two.push_back(key);
    }
    for (const std::string& key : keys_) {
      if (two.size() < 2 && !Has(two, key)) two.push_back(key);
    }
    if (two.size() < 2) return "";  // one key's table is above
    const Strings rows = ValuesOf(results_, two[0]), columns = ValuesOf(results_, two[1]);
    std::string html = "<h2>" + HtmlText(two[0] + " and " + two[1]) + "</h2>\n";
    if (rows.size() > 12 || columns.size() > 12) {  // for example, values drawn at random
      return html + Paragraph(StrCat("Left out: ", two[0], " has ", rows.size(), " values and ",
                                     two[1], " ", columns.size(),
                                     "; expected at most 12 of each for a heat map."));
    }
    html += "<div class=\"plots\">\n";
    for (const char* column : {"jaccard", "ddi"}) {
      html += HeatMap(std::string(column) == "ddi" ? "DDI rate" : "Jaccard", two[0], rows, two[1],
                      columns, CellsOf(column, two, rows, columns));
    }
    return html + "</div>\n" +
           (keys_.size() > 2 ? Paragraph("Means over all other settings.", "soft") : "");
  }

  // Returns the mean of `column` per cell over the trials that have a row; nullopt if none has.
  std::vector<std::vector<std::optional<double>>> CellsOf(const std::string& column,
                                                          const Strings& two, const Strings& rows,
                                                          const Strings& columns) const {
    std::vector<std::vector<std::optional<double>>> cells;
    for (const std::string& row : rows) {
      cells.emplace_back();
      for (const std::string& value : columns) {
        std::vector<double> values;
        for (const TrialResult& trial : results_.trials) {
          if (ValueOf(trial.settings, two[0]) == row && ValueOf(trial.settings, two[1]) == value &&
              !trial.row.is_null()) {
            values.push_back(trial.row.at(column));
          }
        }
        cells.back().push_back(values.empty() ? std::nullopt
                                              : std::optional<double>(Summarize(values).mean));
      }
    }
    return cells;
  }

  std::string Failures() const {
    std::string items;
    for (const TrialResult& trial : results_.trials) {
      if (!trial.damage.empty()) items += Tag("li", HtmlText(DamageText(results_, trial))) + "\n";
      if (trial.status.state != JobState::kFailed) continue;
      items +=
          Tag("li", HtmlText(StrCat(trial.id, ": ", PointName(trial.settings, keys_), ", seed ",
                                    trial.seed, ", attempts: ", trial.status.attempts))) +
          "\n";
    }
    return items.empty() ? "" : "<h2>Failed and damaged trials</h2>\n<ul>\n" + items + "</ul>\n";
  }

  const SweepResults& results_;
  const std::vector<SweepPoint> points_;
  const std::optional<size_t> best_;
  const Strings keys_;
};

}  // namespace

std::string SweepPage(const SweepResults& results) { return Page(results).Html(); }

}  // namespace flame
