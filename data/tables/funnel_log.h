// Writes down what every rule of the preparation does to the rows.
#ifndef FLAME_DATA_TABLES_FUNNEL_LOG_H_
#define FLAME_DATA_TABLES_FUNNEL_LOG_H_

#include <string>
#include <vector>

#include "data/funnel.h"
#include "data/tables/code_table.h"

namespace flame {

// The funnel's tables, whatever the layout calls their files.
inline constexpr char kDrugRows[] = "drugs", kDiagnosisRows[] = "diagnoses",
                      kProcedureRows[] = "procedures";

class FunnelLog {
 public:
  // A step of which the rows alone are known.
  void AddRows(const std::string& table, const std::string& rule, int64_t rows,
               const std::string& detail = "");
  // Counts and logs the rows, visits and patients left. Throws DataError if no row is left, naming
  // the rule and showing the counts of the steps so far.
  void Add(const std::string& table, const std::string& rule, const std::vector<CodeRow>& rows,
           const std::string& detail = "");
  const std::vector<FunnelStep>& steps() const { return steps_; }

 private:
  std::vector<FunnelStep> steps_;
};

// The rules by which a table's rows are dropped as they are read.
// Worked example:
//   RowRules rules(kDrugRows, "PRESCRIPTIONS", {"DRUG_TYPE other than MAIN", "no NDC"});
//   for each row: if (rules.Drops(0, !main) || rules.Drops(1, ndc.empty())) continue; use the row
//   rules.Finish(rows_of_file, &funnel);
class RowRules {
 public:
  // `table`: of the funnel; `file`: as the layout calls it.
  RowRules(std::string table, std::string file, std::vector<std::string> rules)
      : table_(std::move(table)),
        file_(std::move(file)),
        rules_(std::move(rules)),
        dropped_(rules_.size(), 0) {}
  // Counts the row for the rule if it drops the row. Returns `drops`. Rules are asked in their
  // order.
  bool Drops(size_t rule, bool drops) {
    dropped_[rule] += drops;
    return drops;
  }
  // `rows`: of the file. A rule that dropped nothing is not shown.
  void Finish(int64_t rows, FunnelLog* funnel) const;

 private:
  std::string table_, file_;
  std::vector<std::string> rules_;
  std::vector<int64_t> dropped_;
};

}  // namespace flame

#endif  // FLAME_DATA_TABLES_FUNNEL_LOG_H_
