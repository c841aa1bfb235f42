#include "data/tables/code_table.h"

#include <bit>

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

// Open addressing over the rows that are kept: millions of rows, and no allocation for each.
void DropDuplicates(std::vector<CodeRow>* rows) {
  constexpr uint32_t kFree = 0xffffffffu;
  const size_t mask = std::bit_ceil(rows->size() * 2 + 1) - 1;
  std::vector<uint32_t> places(mask + 1, kFree);
  uint32_t kept = 0;
  for (const CodeRow& row : *rows) {
    size_t place = HashRow()(row) & mask;
    while (places[place] != kFree && !((*rows)[places[place]] == row)) place = (place + 1) & mask;
    if (places[place] != kFree) continue;
    places[place] = kept;
    (*rows)[kept++] = row;
  }
  rows->resize(kept);
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
