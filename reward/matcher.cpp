#include "reward/matcher.h"

#include "base/error.h"

namespace flame {

std::string NormalizeDrugName(std::string_view name) {
  std::string key;
  key.reserve(name.size());
  for (char c : name) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '-') continue;
    key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return key;
}

DrugMatcher::DrugMatcher(const std::vector<std::string>& names) {
  for (size_t drug = 0; drug < names.size(); ++drug) {
    std::string key = NormalizeDrugName(names[drug]);
    if (key.empty()) {
      throw DataError("drug ", drug, " is named '", names[drug],
                      "'; expected a name with more than blanks and hyphens");
    }
    auto [other, is_new] = drugs_.emplace(std::move(key), static_cast<int32_t>(drug));
    if (!is_new) {
      throw DataError("drugs ", other->second, " ('", names[other->second], "') and ", drug, " ('",
                      names[drug],
                      "') have the same name once case, blanks and hyphens are dropped");
    }
  }
}

int32_t DrugMatcher::Match(std::string_view line) const {
  auto found = drugs_.find(NormalizeDrugName(line));
  return found == drugs_.end() ? -1 : found->second;
}

}  // namespace flame
