#include "data/tables/code_table.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace flame {
namespace {

uint64_t Mixed(uint64_t hash, int64_t part) {
  hash = (hash ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
  return hash ^ hash >> 29;
}

// The places where a row may be, one after the other, in a table with open addressing. The rows of
// an admission stand together in most tables, so their first places are neighbours, which stay in a
// processor's cache; an admission of very many rows has its other places anywhere.
class Places {
 public:
  explicit Places(const CodeRow& row) : full_(Mixed(Mixed(0, row.subject), row.hadm)) {
    near_ = full_;
    full_ = Mixed(Mixed(full_, row.code), row.name);
    near_ += full_ >> (64 - kNearBits);
  }
  size_t operator[](size_t i) const { return i < kNear ? near_ + i : full_ + i; }

 private:
  static constexpr int kNearBits = 8;
  static constexpr size_t kNear = 32;
  uint64_t near_ = 0, full_;
};

// Most ids are those of the row before.
std::unordered_set<int64_t> Distinct(const std::vector<CodeRow>& rows, int64_t CodeRow::*id) {
  std::unordered_set<int64_t> ids;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i == 0 || rows[i].*id != rows[i - 1].*id) ids.insert(rows[i].*id);
  }
  return ids;
}

}  // namespace

int32_t Interner::IdOf(std::string_view text) {
  const size_t hash = std::hash<std::string_view>()(text);
  if (2 * (texts_.size() + 1) > slots_.size()) Grow();
  size_t place = hash & (slots_.size() - 1);
  for (; slots_[place].id >= 0; place = (place + 1) & (slots_.size() - 1)) {
    if (slots_[place].hash == hash && texts_[slots_[place].id] == text) return slots_[place].id;
  }
  slots_[place] = {hash, size()};
  texts_.emplace_back(text);
  return slots_[place].id;
}

void Interner::Grow() {
  std::vector<Slot> old(std::max<size_t>(2 * slots_.size(), 64));
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    size_t place = slot.hash & (slots_.size() - 1);
    while (slots_[place].id >= 0) place = (place + 1) & (slots_.size() - 1);
    slots_[place] = slot;
  }
}

void DropDuplicates(std::vector<CodeRow>* rows) {
  constexpr uint32_t kFree = 0xffffffffu;
  const size_t mask = std::bit_ceil(rows->size() * 2 + 1) - 1;
  std::vector<uint32_t> table(mask + 1, kFree);
  uint32_t kept = 0;
  for (const CodeRow& row : *rows) {
    const Places places(row);
    size_t i = 0;
    uint32_t* there = &table[places[i] & mask];
    while (*there != kFree && !((*rows)[*there] == row)) there = &table[places[++i] & mask];
    if (*there != kFree) continue;
    *there = kept;
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
  return Distinct(rows, &CodeRow::hadm);
}

std::unordered_set<int64_t> SubjectsIn(const std::vector<CodeRow>& rows) {
  return Distinct(rows, &CodeRow::subject);
}

void Recode(const std::vector<std::string>& text_of, CodeTable* table) {
  Interner codes;
  for (CodeRow& row : table->rows) row.code = codes.IdOf(text_of[row.code]);
  table->codes = std::move(codes);
}

}  // namespace flame
