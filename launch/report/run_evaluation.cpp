#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "launch/report/html.h"
#include "launch/report/run_sections.h"

namespace flame {
namespace {

using nlohmann::json;

// A number of a row; an en dash where it has none.
std::string Cell(const json& row, const std::string& field, const char* format = "%.4f") {
  const json value = row.value(field, json());
  return value.is_number() ? Fixed(value.get<double>(), format) : "\xe2\x80\x93";
}

std::string WithInterval(const json& row, const std::string& metric) {
  const json interval = row.value(metric + "_ci", json());
  std::string text = Cell(row, metric);
  if (interval.is_array()) {
    text += " [" + Fixed(interval.at(0)) + ", " + Fixed(interval.at(1)) + "]";
  }
  return text;
}

// The member of `list` whose "policy" is this one; null if there is none.
json OfPolicy(const json& list, const std::string& policy) {
  if (!list.is_array()) return nullptr;
  for (const json& item : list) {
    if (item.at("policy") == policy) return item;
  }
  return nullptr;
}

std::string Rows(const json& evaluation) {
  HtmlTable visits{{"policy", "Jaccard", "F1", "precision", "recall", "PRAUC", "DDI rate", "drugs",
                    "edits", "sampled Jaccard"},
                   {}};
  HtmlTable pooled{{"policy", "Jaccard", "F1", "precision", "recall", "PRAUC", "DDI rate"}, {}};
  for (const json& row : evaluation.at("rows")) {
    const std::string name = HtmlText(row.at("policy"));
    if (name == "list-grpo") visits.marked = {visits.rows.size()};
    visits.rows.push_back({name, WithInterval(row, "jaccard"), Cell(row, "f1"),
                           Cell(row, "precision"), Cell(row, "recall"), Cell(row, "prauc"),
                           Cell(row, "ddi"), Cell(row, "drugs", "%.2f"), Cell(row, "edits", "%.2f"),
                           Cell(row, "jaccard_sampled")});
    pooled.rows.push_back({name, Cell(row, "jaccard_pooled"), Cell(row, "f1_pooled"),
                           Cell(row, "precision_pooled"), Cell(row, "recall_pooled"),
                           Cell(row, "prauc_pooled"), Cell(row, "ddi_pooled")});
  }
  return TableHtml(visits) +
         Paragraph(
             "Means over visits; intervals are 95 %, from a bootstrap over patients. The marked "
             "row is the "
             "trained policy.",
             "soft") +
         "<details><summary>Pooled: of the sums over all visits</summary>\n" + TableHtml(pooled) +
         "</details>\n";
}

// Jaccard against DDI rate, a number for each row. Points that lie on one another have one label.
std::string TradeOff(const json& evaluation) {
  std::vector<PlotPoint> points;
  std::string names;
  for (const json& row : evaluation.at("rows")) {
    const double ddi = row.at("ddi"), jaccard = row.at("jaccard");
    const auto same = std::find_if(points.begin(), points.end(), [&](const PlotPoint& point) {
      return std::abs(point.x - ddi) < 0.004 && std::abs(point.y - jaccard) < 0.012;
    });
    const std::string number = std::to_string(&row - &evaluation.at("rows")[0] + 1);
    names += (names.empty() ? "" : ", ") + number + " " + row.at("policy").get<std::string>();
    if (same != points.end()) same->label += ", " + number;
    points.push_back({ddi, jaccard, {}, {}, same != points.end() ? "" : number});
  }
  PlotSeries truth{"DDI rate of what was prescribed", {}, true, false};
  const double rate = evaluation.at("truth").at("ddi");
  double low = 1, high = 0;
  for (const PlotPoint& point : points) {
    low = std::min(low, point.y);
    high = std::max(high, point.y);
  }
  truth.points = {{rate, low, {}, {}, ""}, {rate, high, {}, {}, ""}};
  return "<div>" +
         LinePlot("Jaccard against DDI rate", "DDI rate", "Jaccard",
                  {{"", points, false, true}, truth}, kPlotWidth) +
         "<p class=\"soft legend\">" + HtmlText("Up and left is better. " + names + ".") +
         "</p></div>\n";
}

std::string Intervals(const json& evaluation) {
  std::vector<PlotInterval> rows, bounds;
  for (const json& row : evaluation.at("rows")) {
    rows.push_back(
        {row.at("policy"), row.at("jaccard"), row.at("jaccard_ci")[0], row.at("jaccard_ci")[1]});
  }
  const json oracle = evaluation.value("oracle", json());
  if (oracle.is_object()) {
    const double list = oracle.at("list"), threshold = oracle.at("threshold");
    bounds = {{"best possible list", list, list, list},
              {"every drug with P > 0.5, P known", threshold, threshold, threshold}};
  }
  return IntervalPlot("Jaccard and 95 % interval", rows, bounds, kPlotWidth);
}

std::string Comparisons(const json& evaluation) {
  HtmlTable table{{"comparison", "metric", "difference", "95 % interval", "p"}, {}};
  for (const json& item : evaluation.at("comparisons")) {
    table.rows.push_back(
        {HtmlText(item.at("policy").get<std::string>() + " less " +
                  item.at("baseline").get<std::string>()),
         HtmlText(item.at("metric")), Fixed(item.at("difference"), "%+.4f"),
         "[" + Fixed(item.at("ci")[0], "%+.4f") + ", " + Fixed(item.at("ci")[1], "%+.4f") + "]",
         Cell(item, "p")});
  }
  return Heading(3, "Comparisons, visit by visit") + TableHtml(table);
}

// The policies that groups and errors are shown for: the best baseline and our own.
std::vector<std::string> MainPolicies(const RunView& run) {
  std::vector<std::string> policies;
  if (!run.BestBaseline().is_null()) policies.push_back(run.BestBaseline().at("policy"));
  for (const char* policy : {"classifier-calibrated", "list-sft", "list-grpo"}) {
    if (!run.Row(policy).is_null()) policies.emplace_back(policy);
  }
  return policies;
}

std::string Groups(const RunView& run) {
  const json groups = run.evaluation.value("groups", json());
  if (!groups.is_array()) return "";
  const std::vector<std::string> policies = MainPolicies(run);
  HtmlTable table{{"visits", "number", "patients", "drugs given", "DDI rate given"}, {}};
  for (const std::string& policy : policies) table.head.push_back(HtmlText(policy));
  for (const json& group : groups) {
    std::vector<std::string> row = {
        HtmlText(group.at("by").get<std::string>() + ": " + group.at("value").get<std::string>()),
        std::to_string(group.at("num_visits").get<int64_t>()),
        std::to_string(group.at("num_patients").get<int64_t>()),
        Fixed(group.at("truth").at("drugs"), "%.2f"), Fixed(group.at("truth").at("ddi"))};
    for (const std::string& policy : policies) {
      const json of = OfPolicy(group.at("rows"), policy);
      row.push_back(of.is_null() ? "" : WithInterval(of, "jaccard"));
    }
    table.rows.push_back(std::move(row));
  }
  return Heading(3, "Jaccard by group of visits") + TableHtml(table);
}

std::string RareDrugs(const RunView& run) {
  const json rare = run.evaluation.value("rare_drugs", json());
  if (!rare.is_object()) return "";
  HtmlTable table{{"policy", "listed", "right", "given", "precision", "recall"}, {}};
  for (const json& row : rare.at("rows")) {
    table.rows.push_back({HtmlText(row.at("policy")),
                          std::to_string(row.at("listed").get<int64_t>()),
                          std::to_string(row.at("right").get<int64_t>()),
                          std::to_string(row.at("given").get<int64_t>()), Cell(row, "precision"),
                          Cell(row, "recall")});
  }
  return Heading(3, StrCat("The ", rare.at("drugs").get<int64_t>(), " rare drugs of ",
                           rare.at("of").get<int64_t>())) +
         TableHtml(table);
}

std::string Calibration(const json& evaluation) {
  const json calibration = evaluation.value("calibration", json());
  if (!calibration.is_array() || calibration.empty()) return "";
  std::vector<PlotSeries> series;
  HtmlTable table{{"policy", "ECE", "Brier score", "log loss"}, {}};
  for (const json& one : calibration) {
    PlotSeries curve{one.at("policy"), {}, true, true};
    for (const json& bin : one.at("bins")) {
      if (bin.at("count") == 0) continue;
      curve.points.push_back({bin.at("mean"), bin.at("rate"), {}, {}, ""});
    }
    if (series.size() + 1 < kPlotColors) series.push_back(curve);
    table.rows.push_back(
        {HtmlText(one.at("policy")), Cell(one, "ece"), Cell(one, "brier"), Cell(one, "log_loss")});
  }
  series.push_back({"as often as P says", {{0, 0, {}, {}, ""}, {1, 1, {}, {}, ""}}, true, false});
  return Heading(3, "Calibration") + "<div class=\"plots\">\n" +
         LinePlot("How often a drug is given", "P", "share given", series, kPlotWidth) +
         TableHtml(table) + "</div>\n";
}

std::string Abstention(const RunView& run) {
  const json abstention = run.evaluation.value("abstention", json());
  std::vector<PlotSeries> series;
  for (const std::string& policy : MainPolicies(run)) {
    const json one = OfPolicy(abstention, policy);
    if (one.is_null()) continue;
    PlotSeries curve{policy, {}, true, true};
    for (const json& level : one.at("levels")) {
      curve.points.push_back(
          {100 * level.at("coverage").get<double>(), level.at("jaccard"), {}, {}, ""});
    }
    series.push_back(curve);
  }
  return series.empty() ? ""
                        : LinePlot("Jaccard of the visits it is most sure of", "visits kept, %",
                                   "Jaccard", series, kPlotWidth);
}

std::string PhiAlong(const json& evaluation) {
  std::vector<PlotSeries> series;
  for (const json& one : evaluation.value("phi", json::array())) {
    PlotSeries curve{one.at("policy").get<std::string>() + ", " + one.at("edit").get<std::string>(),
                     {},
                     true,
                     true};
    for (const json& step : one.at("steps")) {
      curve.points.push_back({step.at("step"), step.at("phi"), {}, {}, ""});
    }
    if (!curve.points.empty() && series.size() < kPlotColors) series.push_back(curve);
  }
  return series.empty() ? ""
                        : LinePlot("Phi along the greedy lists", "drugs written", "mean phi",
                                   series, kPlotWidth);
}

std::string ErrorTable(const char* title, const json& errors) {
  HtmlTable table{{title, "times", "of"}, {}};
  for (const json& entry : errors) {
    const double count = entry.at("count"), of = entry.at("of");
    table.rows.push_back({HtmlText(entry.at("name")),
                          BarCell(of > 0 ? count / of : 0, Fixed(count, "%.0f")),
                          Fixed(of, "%.0f")});
  }
  return TableHtml(table);
}

std::string Errors(const RunView& run) {
  const json errors = OfPolicy(run.evaluation.value("errors", json()), "list-grpo");
  if (errors.is_null()) return "";
  return Heading(3, "The commonest errors of list-grpo") + "<div class=\"plots\">\n" +
         ErrorTable("listed wrongly", errors.at("wrong")) +
         ErrorTable("missed", errors.at("missed")) + "</div>\n" +
         Paragraph("Of the times that the drug was listed, and that it was given.", "soft");
}

}  // namespace

std::string EvaluationSection(const RunView& run) {
  if (run.evaluation.is_null()) return "";
  const json& evaluation = run.evaluation;
  const std::string plots = Abstention(run) + PhiAlong(evaluation);
  return Heading(2, "Evaluation") +
         Paragraph(StrCat(evaluation.at("num_visits").get<int64_t>(), " ",
                          evaluation.at("split").get<std::string>(),
                          " visits; what was prescribed there has ",
                          Fixed(evaluation.at("truth").at("drugs"), "%.2f"),
                          " drugs a visit and a DDI rate of ",
                          Fixed(evaluation.at("truth").at("ddi")), "."),
                   "soft") +
         Rows(evaluation) + "<div class=\"plots\">\n" + Intervals(evaluation) +
         TradeOff(evaluation) + "</div>\n" + Comparisons(evaluation) + Groups(run) +
         RareDrugs(run) + Calibration(evaluation) +
         (plots.empty()
              ? ""
              : Heading(3, "Sureness and phi") + "<div class=\"plots\">\n" + plots + "</div>\n") +
         Errors(run);
}

}  // namespace flame
