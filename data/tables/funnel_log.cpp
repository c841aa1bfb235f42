#include "data/tables/funnel_log.h"

#include "base/error.h"
#include "base/log.h"

namespace flame {
namespace {

std::string Line(const FunnelStep& step) {
  return StrCat(step.rule, ": ", step.rows, " rows of ", step.visits, " visits of ", step.patients,
                " patients");
}

}  // namespace

void FunnelLog::AddRows(const std::string& table, const std::string& rule, int64_t rows,
                        const std::string& detail) {
  steps_.push_back({table, rule, rows, -1, -1, detail});
}

void FunnelLog::Add(const std::string& table, const std::string& rule,
                    const std::vector<CodeRow>& rows, const std::string& detail) {
  steps_.push_back({table, rule, static_cast<int64_t>(rows.size()),
                    static_cast<int64_t>(VisitsIn(rows).size()),
                    static_cast<int64_t>(SubjectsIn(rows).size()), detail});
  LogInfo("prepare: ", Line(steps_.back()), detail.empty() ? "" : "; ", detail);
  if (!rows.empty()) return;
  std::string counts;
  for (const FunnelStep& step : steps_) {
    if (step.visits >= 0) counts += "\n  " + Line(step);
  }
  throw DataError("no patient left after the step '", rule, "'; expected at least one:", counts);
}

void RowRules::Finish(int64_t rows, FunnelLog* funnel) const {
  funnel->AddRows(table_, "rows of " + file_, rows);
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (dropped_[i] == 0) continue;
    rows -= dropped_[i];
    funnel->AddRows(table_, rules_[i], rows);
  }
}

}  // namespace flame
