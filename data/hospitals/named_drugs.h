// Drugs that a hospital writes by name, as eICU does.
#ifndef FLAME_DATA_HOSPITALS_NAMED_DRUGS_H_
#define FLAME_DATA_HOSPITALS_NAMED_DRUGS_H_

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/hospitals/hospital.h"
#include "data/tables/drug_names.h"

namespace flame {

class NamedDrugs : public DrugMap {
 public:
  // `mappings` has drugbank_to_name.csv; `synonyms` is a file with the columns synonym and
  // drugbank_id. Throws DataError naming the file that is missing or wrong.
  NamedDrugs(const std::filesystem::path& mappings, const std::filesystem::path& synonyms);

  const std::vector<std::string>* Find(const std::string& name) const override;
  bool WellFormed(const std::string&) const override { return true; }
  std::string RuleOf(const std::string& name) const override;
  std::string expected() const override { return "names of DrugBank, brands or abbreviations"; }
  std::string place() const override { return "drugbank_to_name.csv or the drug synonyms"; }

  // Returns DrugBank's names of the drugs that `name` stands for, joined by " and "; `name` if it
  // stands for none.
  std::string NameOf(const std::string& name) const;

 private:
  NamedDrugs(const std::vector<DrugNameId>& names, const std::filesystem::path& synonyms);
  const DrugMatch& Match(const std::string& name) const;

  DrugNameMatcher matcher_;
  std::unordered_map<std::string, std::string> name_of_;  // by DrugBank id
  mutable std::unordered_map<std::string, DrugMatch> known_;
};

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_NAMED_DRUGS_H_
