// One table of a synthetic hospital in memory.
#ifndef FLAME_DATA_SYNTH_TABLE_H_
#define FLAME_DATA_SYNTH_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flame {

class SynthTable {
 public:
  enum class Style {
    kMimic3,  // a quoted header whose first column is ROW_ID, which Row() fills
    kPlain,   // the header as it is, and nothing filled
  };
  // `columns` are separated by commas. `file` may be in a folder.
  SynthTable(std::string file, const std::string& columns, Style style);
  // Appends a row. `cells` are those after ROW_ID, each as it stands in the file: a number, quoted
  // text or "" for a missing value.
  void Row(const std::vector<std::string>& cells);
  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }
  int64_t rows() const { return rows_; }

 private:
  std::string file_, text_;
  Style style_;
  int64_t rows_ = 0;
};

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_TABLE_H_
