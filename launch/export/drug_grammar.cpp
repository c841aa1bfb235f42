#include "launch/export/drug_grammar.h"

namespace flame {
namespace {

// Puts `mark` before every character of `special` in `text`.
std::string Marked(const std::string& text, const std::string& special, char mark) {
  std::string marked;
  for (const char c : text) {
    if (special.find(c) != std::string::npos) marked += mark;
    marked += c;
  }
  return marked;
}

}  // namespace

std::string DrugGbnf(const std::vector<std::string>& names) {
  std::string text = "# A list of drugs, one name a line.\nroot ::= (drug \"\\n\")*\ndrug ::= ";
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "\"" : " |\n  \"") + Marked(names[i], "\"\\", '\\') + "\"";
  }
  return text + "\n";
}

std::string DrugRegex(const std::vector<std::string>& names) {
  std::string text = "((";
  for (size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : "|") + Marked(names[i], R"(\^$.|?*+()[]{}/-)", '\\');
  }
  return text + ")\\n)*";
}

}  // namespace flame
