#include "data/synth/table.h"

#include <utility>

namespace flame {

SynthTable::SynthTable(std::string file, const std::string& columns, Style style)
    : file_(std::move(file)), style_(style) {
  if (style == Style::kPlain) {
    text_ += columns + "\n";
    return;
  }
  text_ += "\"";
  for (const char c : columns) c == ',' ? text_ += "\",\"" : text_ += c;
  text_ += "\"\n";
}

void SynthTable::Row(const std::vector<std::string>& cells) {
  ++rows_;
  if (style_ == Style::kMimic3) text_ += std::to_string(rows_);
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0 || style_ == Style::kMimic3) text_ += ",";
    text_ += cells[i];
  }
  text_ += "\n";
}

}  // namespace flame
