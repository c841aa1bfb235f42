#include "data/tables/code_table.h"

namespace flame {
namespace {

struct HashRow {
  size_t operator()(const CodeRow& row) const {
    size_t hash = 0;
    for (int64_t part : {row.subject, row.hadm, int64_t{row.code}, int64_t{row.name}}) {
      hash = (hash ^ static_cast<size_t>(part)) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 29;
    }
    return hash;
  }
};

}  // namespace

int32_t Interner::IdOf(std::string_view text) {
  const auto found = ids_.find(text);
  if (found != ids_.end()) return found->second;
  const int32_t id = size();
  ids_.emplace(text, id);
  texts_.emplace_back(text);
  return id;
}

void DropDuplicates(std::vector<CodeRow>* rows) {
  std::unordered_set<CodeRow, HashRow> seen;
  seen.reserve(rows->size());
  std::erase_if(*rows, [&](const CodeRow& row) { return !seen.insert(row).second; });
}

std::vector<int64_t> CountCodes(const CodeTable& table) {
  std::vector<int64_t> counts(table.codes.size(), 0);
  for (const CodeRow& row : table.rows) ++counts[row.code];
  return counts;
}

std::unordered_set<int64_t> VisitsIn(const std::vector<CodeRow>& rows) {
  std::unordered_set<int64_t> visits;
  for (const CodeRow& row : rows) visits.insert(row.hadm);
  return visits;
}

void Recode(const std::vector<std::string>& text_of, CodeTable* table) {
  Interner codes;
  for (CodeRow& row : table->rows) row.code = codes.IdOf(text_of[row.code]);
  table->codes = std::move(codes);
}

}  // namespace flame
