// Maps a written line to the drug it names.
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
  // `names[d]` is the name of drug d. Throws DataError if a normalized name is empty or equals
  // another, because a line would then match no drug or two.
  explicit DrugMatcher(const std::vector<std::string>& names);
  // Returns the drug whose whole name the line is; -1: none.
  int32_t Match(std::string_view line) const;

 private:
  std::unordered_map<std::string, int32_t> drugs_;
};

}  // namespace flame

#endif  // FLAME_REWARD_MATCHER_H_
