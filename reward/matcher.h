// From a written line to the drug it names.
#ifndef FLAME_REWARD_MATCHER_H_
#define FLAME_REWARD_MATCHER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flame {

// Lower-cases ASCII letters and drops blanks (space, tab, CR, LF) and hyphens:
// "Amoxicillin - Clavulanate" -> "amoxicillinclavulanate".
std::string NormalizeDrugName(std::string_view name);

class DrugMatcher {
 public:
  // `names[d]` names drug d. Throws DataError where a name is empty or two are equal once
  // normalized, for then a line could not tell which drug it means.
  explicit DrugMatcher(const std::vector<std::string>& names);
  // -1: no known drug. Only a whole name matches.
  int32_t Match(std::string_view line) const;

 private:
  std::unordered_map<std::string, int32_t> drugs_;
};

}  // namespace flame

#endif  // FLAME_REWARD_MATCHER_H_
