// An evaluation, printed for people.
#ifndef FLAME_LAUNCH_REPORT_EVALUATION_TABLE_H_
#define FLAME_LAUNCH_REPORT_EVALUATION_TABLE_H_

#include <nlohmann/json.hpp>
#include <string>

namespace flame {

// Returns the rows and comparisons of an evaluation (EvaluateRun) as a table.
std::string EvaluationTable(const nlohmann::json& evaluation);

// Returns comparisons (Compare) as one line each.
std::string ComparisonLines(const nlohmann::json& comparisons);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_EVALUATION_TABLE_H_
