#include "data/prompts/drug_mentions.h"

#include <algorithm>
#include <cctype>

namespace flame {
namespace {

bool IsWordByte(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// Returns the end of the word that begins at `begin`.
size_t WordEnd(std::string_view text, size_t begin) {
  while (begin < text.size() && IsWordByte(text[begin])) ++begin;
  return begin;
}

}  // namespace

DrugMentions::DrugMentions(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string name = Lower(names[i]);
    const std::string first = name.substr(0, WordEnd(name, 0));
    // A name that begins with another character than a letter or digit cannot be told from a part
    // of a word.
    if (!first.empty()) by_first_word_[first].emplace_back(name, static_cast<int32_t>(i));
  }
  for (auto& [word, list] : by_first_word_) {
    std::stable_sort(list.begin(), list.end(),
                     [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  }
}

std::vector<int32_t> DrugMentions::In(std::string_view text) const {
  std::vector<int32_t> found;
  Linked(text, [&](int32_t drug, const std::string&) {
    if (std::find(found.begin(), found.end(), drug) == found.end()) found.push_back(drug);
    return std::string();
  });
  return found;
}

std::string DrugMentions::Linked(std::string_view text, const Link& link) const {
  const std::string lower = Lower(text);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (!IsWordByte(text[at])) {
      out += text[at++];
      continue;
    }
    size_t end = WordEnd(text, at);
    const auto names = by_first_word_.find(lower.substr(at, end - at));
    int32_t drug = -1;
    if (names != by_first_word_.end()) {
      for (const auto& [name, index] : names->second) {
        const size_t behind = at + name.size();
        if (lower.compare(at, name.size(), name) != 0) continue;
        if (behind < text.size() && IsWordByte(name.back()) && IsWordByte(text[behind])) continue;
        drug = index;
        end = behind;
        break;
      }
    }
    const std::string word(text.substr(at, end - at));
    out += drug < 0 ? word : link(drug, word);
    at = end;
  }
  return out;
}

}  // namespace flame
