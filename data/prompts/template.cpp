#include "data/prompts/template.h"

#include <algorithm>

#include "base/config.h"
#include "base/error.h"

namespace flame {

PromptTemplate::PromptTemplate(const std::string& text, const std::vector<std::string>& needed,
                               const std::vector<std::string>& allowed, const std::string& where) {
  std::vector<std::string> known = needed;
  known.insert(known.end(), allowed.begin(), allowed.end());
  ends_with_break_ = text.ends_with('\n');
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines_.push_back(ParseLine(text.substr(begin, end - begin), known, where));
    begin = end + 1;
  }
  for (const std::string& name : needed) {
    if (!Has(name)) throw DataError(where, " does not have the placeholder {", name, "}");
  }
}

PromptTemplate::Line PromptTemplate::ParseLine(const std::string& text,
                                               const std::vector<std::string>& known,
                                               const std::string& where) const {
  Line line;
  size_t begin = 0;
  while (true) {
    const size_t open = text.find('{', begin);
    if (open == std::string::npos) break;
    const size_t close = text.find('}', open);
    if (close == std::string::npos) throw DataError(where, ": '{' without '}' in '", text, "'");
    const std::string name = text.substr(open + 1, close - open - 1);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = NearestWord(name, known);
      throw DataError(where, ": unknown placeholder {", name, "}",
                      nearest.empty() ? "" : "; nearest is {" + nearest + "}");
    }
    line.push_back({text.substr(begin, open - begin), name});
    begin = close + 1;
  }
  line.push_back({text.substr(begin), ""});
  return line;
}

bool PromptTemplate::Has(const std::string& placeholder) const {
  for (const Line& line : lines_) {
    for (const Part& part : line) {
      if (part.placeholder == placeholder) return true;
    }
  }
  return false;
}

std::string PromptTemplate::Render(const std::map<std::string, std::string>& values) const {
  std::string text;
  for (const Line& line : lines_) {
    std::string rendered;
    bool filled = line.size() == 1;
    for (const Part& part : line) {
      rendered += part.literal;
      if (part.placeholder.empty()) continue;
      const std::string& value = values.at(part.placeholder);
      filled |= !value.empty();
      if (value.empty() && part.placeholder == "slot" && rendered.ends_with(' ')) {
        rendered.pop_back();
      }
      rendered += value;
    }
    if (filled) text += rendered + '\n';
  }
  if (!ends_with_break_ && !text.empty()) text.pop_back();
  return text;
}

}  // namespace flame
