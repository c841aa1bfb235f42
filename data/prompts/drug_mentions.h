// Finds the names of a vocabulary in free text, such as a note's list of medications.
#ifndef FLAME_DATA_PROMPTS_DRUG_MENTIONS_H_
#define FLAME_DATA_PROMPTS_DRUG_MENTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace flame {

class DrugMentions {
 public:
  explicit DrugMentions(const std::vector<std::string>& names);

  // Returns `text` with every name in it replaced by link(drug, name as written). A name is found
  // in any case, between characters that are no letters or digits of ASCII; where two begin at one
  // place the longer is taken. "warfarin 5 mg" -> link(3, "warfarin") + " 5 mg".
  using Link = std::function<std::string(int32_t drug, const std::string& name)>;
  std::string Linked(std::string_view text, const Link& link) const;

  // Returns the drugs that `text` names, in order of first mention, no repeats.
  std::vector<int32_t> In(std::string_view text) const;

 private:
  // The names, in lower case, by their first word; the longest first.
  std::unordered_map<std::string, std::vector<std::pair<std::string, int32_t>>> by_first_word_;
};

}  // namespace flame

#endif  // FLAME_DATA_PROMPTS_DRUG_MENTIONS_H_
