#include "data/tables/distinct_names.h"

#include <cctype>
#include <unordered_set>

namespace flame {
namespace {

// Returns the form in which names are compared: lower case, no spaces, no hyphens.
std::string MatchKey(const std::string& name) {
  std::string key;
  for (unsigned char c : name) {
    if (c != ' ' && c != '-') key += static_cast<char>(std::tolower(c));
  }
  return key;
}

}  // namespace

void MakeDistinct(const std::vector<std::string>& ids, std::vector<std::string>* names) {
  std::unordered_set<std::string> taken;
  for (size_t i = 0; i < names->size(); ++i) {
    std::string& name = (*names)[i];
    while (!taken.insert(MatchKey(name)).second) name += " (" + ids[i] + ")";
  }
}

}  // namespace flame
