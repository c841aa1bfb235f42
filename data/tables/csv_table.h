// Reads the tables of a hospital row by row: CSV files, plain or gzipped. Every value
// is text as written (leading zeros matter); a missing value is "".
#ifndef FLAME_DATA_TABLES_CSV_TABLE_H_
#define FLAME_DATA_TABLES_CSV_TABLE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tables/calendar.h"
#include "data/tables/csv_scanner.h"

namespace flame {

// Worked example: CsvTable("mimic", "PATIENTS", {"SUBJECT_ID", "GENDER"}).ForEachRow(
//     [&](const CsvRow& row) { Use(row.Integer(0), row[1]); });
class CsvRow {
 public:
  std::string_view operator[](size_t column) const { return values_[column].Text(); }
  // Throws DataError naming table, row and column if the value is no integer; 500.0 is one.
  int64_t Integer(size_t column) const;
  double Number(size_t column) const;  // likewise
  Moment Time(size_t column) const;    // likewise; see ParseMoment
  // Throws DataError naming table, row, column and value.
  [[noreturn]] void Fail(size_t column, const char* expected) const;
  // Returns "data row 3, line 4". Reads the file again up to the row: for errors.
  std::string Where() const;

 private:
  friend class CsvTable;
  template <class T>
  T Parse(size_t column, std::string_view text, const char* expected) const;
  CsvRow(const std::string& path, const std::vector<std::string>& columns)
      : path_(path), columns_(columns), values_(columns.size()) {}
  const std::string& path_;
  const std::vector<std::string>& columns_;
  mutable std::vector<CsvField> values_;  // valid during the call that got the row
  int64_t number_ = 0;                    // 1-based, the header not counted
};

class CsvTable {
 public:
  // Finds `stem`.csv or `stem`.csv.gz, in any case, and checks that it has `columns`, in any case.
  // Throws DataError if there is no such folder or table (with the names looked for) or more than
  // one, a column is missing (with the columns found) or there twice, the delimiter is no comma, or
  // the file is not CSV.
  CsvTable(const std::filesystem::path& folder, const std::string& stem,
           std::vector<std::string> columns);

  // The table in this very file, as a config key names it; gzip if its name ends in .gz. Throws
  // DataError as the constructor does.
  static CsvTable OfFile(const std::filesystem::path& file, std::vector<std::string> columns);

  // Returns the table's file; empty if there is none. Throws DataError if there are two.
  static std::filesystem::path Find(const std::filesystem::path& folder, const std::string& stem);
  static bool Exists(const std::filesystem::path& folder, const std::string& stem);

  // Calls `use` with each row, whose values are in the order of `columns`, and returns the number
  // of rows. Values may hold line breaks. Throws DataError naming the file on a row with a wrong
  // number of fields (with its number), a truncated gzip, or text that is not UTF-8.
  int64_t ForEachRow(const std::function<void(const CsvRow&)>& use) const;

  // Does the same as ForEachRow, and throws DataError if there is no row.
  int64_t ForEachRowOfFilled(const std::function<void(const CsvRow&)>& use) const;

  // True if the table has the column, in any case.
  bool Has(const std::string& column) const;

  const std::string& path() const { return path_; }

 private:
  explicit CsvTable(std::vector<std::string> columns) : columns_(std::move(columns)) {}
  void CheckColumns();

  std::string path_;
  std::vector<std::string> columns_;
  std::vector<std::string> header_;
  std::vector<std::string> written_;  // `columns_` as the header writes them
};

}  // namespace flame

#endif  // FLAME_DATA_TABLES_CSV_TABLE_H_
