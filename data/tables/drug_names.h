// Ties the drug names that a hospital writes as free text to DrugBank ids.
#ifndef FLAME_DATA_TABLES_DRUG_NAMES_H_
#define FLAME_DATA_TABLES_DRUG_NAMES_H_

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace flame {

// The rule that decided over a name. Of several that apply, the last in this order is reported.
enum class DrugNameRule {
  kBlank,        // the name is empty
  kUnmatched,    // a word is unknown, no drug is named, or the drugs contradict each other
  kNoDrug,       // a fluid without an id, a flush or a consult: Lactated Ringers
  kExactName,    // a DrugBank name as it is: furosemide
  kForm,         // strength, form, route or container removed: FUROSEMIDE 10 MG/ML IJ SOLN
  kSalt,         // a salt removed: DILTIAZEM HCL
  kSynonym,      // a brand, abbreviation or other spelling: LASIX
  kCombination,  // several ingredients: HYDROCODONE-ACETAMINOPHEN 5-325 MG, PERCOCET
  kMixture,      // the fluid that carries the drug removed: POTASSIUM CHLORIDE 20 MEQ IN NS
};
inline constexpr int kNumDrugNameRules = 9;

// Returns the rule in words for a report, such as "salt removed".
std::string_view DrugNameRuleWords(DrugNameRule rule);

struct DrugMatch {
  DrugNameRule rule = DrugNameRule::kUnmatched;
  std::vector<std::string>
      drugs;  // DrugBank ids, each once, in the order of the name and of the synonyms
};

struct DrugNameId {
  std::string name, id;
};

// Worked example: DrugNameMatcher({{"Furosemide", "DB00695"}}, {{"lasix", "DB00695"}})
//     .Match("furosemide (LASIX) injection 20 mg") is {kForm, {"DB00695"}}.
// A match explains every word of a name: by a DrugBank name or synonym, which must be whole words,
// or as a salt, strength, form, route, container or carrier. Nothing is guessed: a name with one
// unknown word is unmatched. Case and punctuation do not matter. Two drugs are ingredients of one
// product only if "-", "/", "+", "&", ",", "and" or "with" joins them. Sodium chloride and glucose
// are carriers where the name has another drug, and drugs where it has none.
class DrugNameMatcher {
 public:
  // `names`: DrugBank's. One without a word of 5 letters (ATP, TMP) and one that hospitals use for
  // a salt, a flavour or a fluid (acetate, orange, water) is left out; of two ids with the same
  // name the first counts. `synonyms` stand above names; several ids of one synonym are a product's
  // ingredients, and an empty id makes a name that could be several drugs match none (isosorbide).
  // Throws DataError naming the synonym if it has no letter, or an id that no name has.
  DrugNameMatcher(const std::vector<DrugNameId>& names, const std::vector<DrugNameId>& synonyms);

  DrugMatch Match(std::string_view drugname) const;

 private:
  friend class DrugNameReader;
  struct Entry {
    std::vector<std::string> ids;
    bool synonym = false;
  };
  std::unordered_map<std::string, Entry> entries_;  // by words parted by single spaces
  size_t max_words_ = 0;                            // the most words of a key of `entries_`
};

}  // namespace flame

#endif  // FLAME_DATA_TABLES_DRUG_NAMES_H_
