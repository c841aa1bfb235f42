// Changes of a CSV table by seed, as exports and hands make them.
#ifndef FLAME_TESTS_DATA_HOSPITALS_TABLE_MUTATIONS_H_
#define FLAME_TESTS_DATA_HOSPITALS_TABLE_MUTATIONS_H_

#include <algorithm>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "tests/base/spoil.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {

inline std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

inline std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// A comma between quotes is text.
inline std::vector<std::string> CellsOf(const std::string& line) {
  std::vector<std::string> cells{""};
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

inline std::string RowOf(const std::vector<std::string>& cells) {
  std::string row;
  for (size_t i = 0; i < cells.size(); ++i) row += (i > 0 ? "," : "") + cells[i];
  return row;
}

// Applies `change` to the cells of every line. No cell has a break.
inline std::string EachRow(const std::string& text,
                           const std::function<void(std::vector<std::string>*)>& change) {
  std::vector<std::string> lines = LinesOf(text);
  for (std::string& line : lines) {
    std::vector<std::string> cells = CellsOf(line);
    change(&cells);
    line = RowOf(cells);
  }
  return Joined(lines);
}

// Changes one cell of a data row.
inline std::string WithCell(Random& random, const std::string& text, const std::string& value) {
  std::vector<std::string> lines = LinesOf(text);
  if (lines.size() < 2) return text;
  std::string& line = lines[1 + Below(random, lines.size() - 1)];
  std::vector<std::string> cells = CellsOf(line);
  cells[Below(random, cells.size())] = value;
  line = RowOf(cells);
  return Joined(lines);
}

using Mutation = std::string (*)(Random&, const std::string&);

// These leave what the table says.
inline const Mutation kHarmless[] = {
    [](Random&, const std::string& text) { return Replaced(text, "\n", "\r\n"); },
    [](Random&, const std::string& text) { return "\xEF\xBB\xBF" + text; },
    [](Random&, const std::string& text) { return text.substr(0, text.size() - 1); },
    [](Random& random, const std::string& text) {  // columns in another order
      const size_t n = CellsOf(LinesOf(text)[0]).size();
      const size_t a = Below(random, n), b = Below(random, n);
      return EachRow(text, [&](auto* cells) {
        if (cells->size() == n) std::swap((*cells)[a], (*cells)[b]);
      });
    },
    [](Random&, const std::string& text) {  // a column of its own
      bool header = true;
      return EachRow(text, [&](auto* cells) {
        cells->push_back(header ? "EXTRA" : "x");
        header = false;
      });
    },
};

inline const Mutation kHarmful[] = {
    [](Random& random, const std::string& text) {  // a column is lost
      const size_t lost = Below(random, CellsOf(LinesOf(text)[0]).size());
      return EachRow(text, [&](auto* cells) {
        if (lost < cells->size()) cells->erase(cells->begin() + static_cast<int64_t>(lost));
      });
    },
    [](Random& random, const std::string& text) {  // a column twice
      const size_t twice = Below(random, CellsOf(LinesOf(text)[0]).size());
      return EachRow(text, [&](auto* cells) {
        if (twice < cells->size()) cells->push_back((*cells)[twice]);
      });
    },
    [](Random& random, const std::string& text) {  // two headers swapped
      std::vector<std::string> lines = LinesOf(text);
      std::vector<std::string> cells = CellsOf(lines[0]);
      std::swap(cells[Below(random, cells.size())], cells[Below(random, cells.size())]);
      lines[0] = RowOf(cells);
      return Joined(lines);
    },
    [](Random& random, const std::string& text) {  // a row is lost, twice or elsewhere
      std::vector<std::string> lines = LinesOf(text);
      const size_t row = Below(random, lines.size());
      const std::string copy = lines[row];
      if (Below(random, 2) == 0) lines.erase(lines.begin() + static_cast<int64_t>(row));
      lines.insert(lines.begin() + static_cast<int64_t>(Below(random, lines.size() + 1)), copy);
      return Joined(lines);
    },
    [](Random& random, const std::string& text) {  // cut short
      return text.substr(0, Below(random, text.size()));
    },
    [](Random& random, const std::string& text) {  // a byte that is another one
      std::string spoiled = text;
      spoiled[Below(random, text.size())] = static_cast<char>(Below(random, 256));
      return spoiled;
    },
    [](Random& random, const std::string& text) {
      const char* const cells[] = {
          "",     "-1",         "x",          "\"",     "9999999999999999999",
          "1e3",  "2001-13-45", "01/02/03",   "nan",    "\xE9t\xE9",
          "0.0",  "2001-01-01", "\"a,b\"",    "NULL",   "1850-01-01",
          "1\t2", "12:00",      "2999-01-01", "\"\"\"", " 7 "};
      return WithCell(random, text, cells[Below(random, std::size(cells))]);
    },
    [](Random& random, const std::string& text) {  // another delimiter
      return Replaced(text, ",", Below(random, 2) == 0 ? ";" : "\t");
    },
    [](Random&, const std::string&) { return std::string(); },
    [](Random&, const std::string& text) {  // UTF-16
      std::string wide = "\xFF\xFE";
      for (const char c : text) wide += {c, '\0'};
      return wide;
    },
};

}  // namespace flame

#endif  // FLAME_TESTS_DATA_HOSPITALS_TABLE_MUTATIONS_H_
