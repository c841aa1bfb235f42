#include "data/hospitals/drug_mapping.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "data/tables/codes.h"
#include "data/tables/coverage_counter.h"
#include "data/tables/csv_table.h"
#include "data/tables/distinct_names.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

constexpr size_t kNdc = 11, kProduct = 9;  // digits of an NDC, and of its labeler and product

bool IsDigits(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::string CanonicalName(std::string_view name) { return CanonicalId(CollapseSpace(name)); }

}  // namespace

DrugMapping::DrugMapping(const std::filesystem::path& file, bool names_drugs)
    : file_(file), names_drugs_(names_drugs) {
  int64_t contradictions = 0;
  std::string first;
  const CsvTable table = CsvTable::OfFile(file, {"source", "code", "name"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const std::string source = CanonicalName(row[0]), code = CanonicalId(row[1]);
    if (!names_drugs &&
        !(IsDigits(source) && (source.size() == kNdc || source.size() == kProduct))) {
      row.Fail(0, "an NDC of 11 digits, or the first 9 of them, such as 000734580");
    }
    if (source.empty() || IsMissing(code)) return;
    std::vector<std::string>& codes = codes_[source];
    if (std::find(codes.begin(), codes.end(), code) == codes.end()) codes.push_back(code);
    const std::string name = CollapseSpace(row[2]);
    if (IsMissing(name)) return;
    const auto [entry, added] = names_.try_emplace(code, name);
    if (!added && entry->second != name && ++contradictions == 1) first = code;
  });
  if (codes_.empty()) throw DataError(table.path(), ": no row has a source and a code");
  if (contradictions > 0) {
    LogWarning("prepare: ", table.path(), ": ", contradictions, " rows give a code such as ", first,
               " another name than an earlier row, whose name is taken");
  }
}

// An NDC that lost its zeros in front is read as in other mappings, but by its product alone.
const std::vector<std::string>* DrugMapping::Find(const std::string& source) const {
  const auto found = codes_.find(CanonicalName(source));
  if (found != codes_.end()) return &found->second;
  if (names_drugs_) return nullptr;
  const std::vector<std::string>* codes = nullptr;
  for (const std::string& product : NdcReadings(source)) {
    const auto mapped = codes_.find(product);
    if (mapped == codes_.end()) continue;
    if (codes != nullptr && *codes != mapped->second) return nullptr;
    codes = &mapped->second;
  }
  return codes;
}

bool DrugMapping::WellFormed(const std::string& source) const {
  return names_drugs_ || (source.size() == kNdc && IsDigits(source));
}

std::string DrugMapping::expected() const {
  return names_drugs_ ? "names of drugs as its column source has them" : "NDCs of 11 digits";
}

std::vector<std::string> DrugMapping::Names(const std::vector<std::string>& codes,
                                            Coverage* coverage) const {
  std::vector<std::string> names;
  *coverage = {"drugs with a name", static_cast<int64_t>(codes.size()), 0, 0, ""};
  CommonTexts without;
  for (const std::string& code : codes) {
    const auto name = names_.find(code);
    const bool known = name != names_.end();
    if (known) ++coverage->matched;
    if (!known) without.Add(code);
    names.push_back(known ? name->second : code);
  }
  coverage->misses = without.Commonest();
  MakeDistinct(codes, &names);
  return names;
}

}  // namespace flame
