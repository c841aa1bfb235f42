#include "launch/report/evaluation_table.h"

#include <cstdio>

#include "base/error.h"
#include "launch/report/html.h"

namespace flame {
namespace {

using nlohmann::json;

// Returns a number in this form; "-" for null.
std::string Number(const json& value, const char* format) {
  return value.is_null() ? "-" : Fixed(value.get<double>(), format);
}

std::string Between(const json& interval, const char* format) {
  return "[" + Number(interval.at(0), format) + ", " + Number(interval.at(1), format) + "]";
}

}  // namespace

std::string EvaluationTable(const json& evaluation) {
  std::string table;
  char line[256];
  std::snprintf(line, sizeof line, "%-21s %8s %16s %8s %7s %7s %7s %6s %6s\n", "policy", "jaccard",
                "95 % interval", "sampled", "f1", "prauc", "ddi", "drugs", "edits");
  table += line;
  for (const json& row : evaluation.at("rows")) {
    std::snprintf(
        line, sizeof line, "%-21s %8s %16s %8s %7s %7s %7s %6s %6s\n",
        row.at("policy").get<std::string>().c_str(), Number(row.at("jaccard"), "%.4f").c_str(),
        Between(row.at("jaccard_ci"), "%.4f").c_str(),
        Number(row.value("jaccard_sampled", json()), "%.4f").c_str(),
        Number(row.at("f1"), "%.4f").c_str(), Number(row.value("prauc", json()), "%.4f").c_str(),
        Number(row.at("ddi"), "%.4f").c_str(), Number(row.at("drugs"), "%.2f").c_str(),
        Number(row.value("edits", json()), "%.2f").c_str());
    table += line;
  }
  const json& truth = evaluation.at("truth");
  table += StrCat("truth: DDI rate ", Number(truth.at("ddi"), "%.4f"), ", ",
                  Number(truth.at("drugs"), "%.2f"), " drugs a visit; ",
                  evaluation.at("num_visits").get<int64_t>(), " ",
                  evaluation.at("split").get<std::string>(), " visits\n");
  if (!evaluation.at("oracle").is_null()) {
    table += StrCat("ceiling: best list ", Number(evaluation.at("oracle").at("list"), "%.4f"),
                    ", every drug with P > 0.5 ",
                    Number(evaluation.at("oracle").at("threshold"), "%.4f"), "\n");
  }
  return table + ComparisonLines(evaluation.at("comparisons")) +
         "Research software: not for treating patients.\n";
}

std::string ComparisonLines(const json& comparisons) {
  std::string lines;
  for (const json& item : comparisons) {
    lines += StrCat(
        item.at("policy").get<std::string>(), " - ", item.at("baseline").get<std::string>(), ", ",
        item.at("metric").get<std::string>(), ": ", Number(item.at("difference"), "%+.4f"), " ",
        Between(item.at("ci"), "%+.4f"), ", p ", Number(item.value("p", json()), "%.4f"), "\n");
  }
  return lines;
}

}  // namespace flame
