#include "base/text_wrap.h"

#include <algorithm>
#include <sstream>

namespace flame {
namespace {

constexpr size_t kMargin = 2, kGap = 2;
constexpr size_t kWidestName = 24;

}  // namespace

std::string WrapText(const std::string& text, size_t width, size_t indent) {
  std::istringstream lines(text);
  std::string wrapped;
  const std::string margin(indent, ' ');
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string current;
    for (std::string word; words >> word;) {
      if (!current.empty() && indent + current.size() + 1 + word.size() > width) {
        wrapped += margin + current + "\n";
        current.clear();
      }
      current += (current.empty() ? "" : " ") + word;
    }
    wrapped += (current.empty() ? "" : margin + current) + "\n";
  }
  return wrapped;
}

std::string WrapColumns(const TwoColumns& rows, size_t width) {
  size_t column = 0;
  for (const auto& [name, meaning] : rows) {
    if (name.size() <= kWidestName) column = std::max(column, name.size());
  }
  const size_t indent = kMargin + column + kGap;
  std::string text;
  for (const auto& [name, meaning] : rows) {
    std::string wrapped = WrapText(meaning, width, indent);
    const std::string head = std::string(kMargin, ' ') + name;
    if (name.size() > column || wrapped.empty()) {
      text += head + "\n" + wrapped;
    } else {
      text += head + wrapped.substr(head.size());
    }
  }
  return text;
}

}  // namespace flame
