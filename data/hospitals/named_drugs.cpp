#include "data/hospitals/named_drugs.h"

#include "base/error.h"
#include "data/tables/codes.h"
#include "data/tables/csv_table.h"

namespace flame {
namespace {

std::vector<DrugNameId> ReadNames(const CsvTable& table) {
  std::vector<DrugNameId> names;
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    names.push_back({std::string(row[0]), CanonicalId(row[1])});
  });
  return names;
}

DrugNameMatcher MatcherOf(const std::vector<DrugNameId>& names, const CsvTable& synonyms) {
  const std::vector<DrugNameId> others = ReadNames(synonyms);
  try {
    return DrugNameMatcher(names, others);
  } catch (const DataError& error) {
    throw DataError(synonyms.path(), ": ", error.what());
  }
}

}  // namespace

NamedDrugs::NamedDrugs(const std::filesystem::path& mappings, const std::filesystem::path& synonyms)
    : NamedDrugs(ReadNames(CsvTable(mappings, "drugbank_to_name", {"drug_name", "drugbank_id"})),
                 synonyms) {}

NamedDrugs::NamedDrugs(const std::vector<DrugNameId>& names, const std::filesystem::path& synonyms)
    : matcher_(MatcherOf(names, CsvTable::OfFile(synonyms, {"synonym", "drugbank_id"}))) {
  for (const auto& [name, id] : names) name_of_.try_emplace(id, name);
}

const std::vector<std::string>* NamedDrugs::Find(const std::string& name) const {
  const DrugMatch& match = Match(name);
  return match.drugs.empty() ? nullptr : &match.drugs;
}

std::string NamedDrugs::RuleOf(const std::string& name) const {
  return std::string(DrugNameRuleWords(Match(name).rule));
}

std::string NamedDrugs::NameOf(const std::string& name) const {
  std::string joined;
  for (const std::string& id : Match(name).drugs) {
    joined += (joined.empty() ? "" : " and ") + name_of_.at(id);
  }
  return joined.empty() ? name : joined;
}

const DrugMatch& NamedDrugs::Match(const std::string& name) const {
  const auto found = known_.find(name);
  return found != known_.end() ? found->second
                               : known_.emplace(name, matcher_.Match(name)).first->second;
}

}  // namespace flame
