// Rows of a hospital's code tables: which admission has which diagnosis, procedure or drug.
#ifndef FLAME_DATA_TABLES_CODE_TABLE_H_
#define FLAME_DATA_TABLES_CODE_TABLE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace flame {

// Numbers texts from 0, in order of first appearance.
class Interner {
 public:
  int32_t IdOf(std::string_view text);
  const std::string& Text(int32_t id) const { return texts_[id]; }
  const std::vector<std::string>& texts() const { return texts_; }
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }

 private:
  struct Slot {
    size_t hash = 0;
    int32_t id = -1;  // -1: free
  };
  void Grow();

  std::vector<Slot> slots_;  // open addressing; a power of two, at most half of them in use
  std::vector<std::string> texts_;
};

struct CodeRow {
  int64_t subject = 0, hadm = 0;
  int32_t code = 0;  // diagnosis, procedure, drug as the hospital writes it, or drug: its number
                     // in its table's `codes`
  int32_t name = 0;  // the hospital's own name of a drug, which distinguishes rows: its number in
                     // `names`; 0 elsewhere
  bool operator==(const CodeRow&) const = default;
};

struct CodeTable {
  std::vector<CodeRow> rows;  // in the order of the file
  Interner codes, names;
};

// Keeps the first of equal rows.
void DropDuplicates(std::vector<CodeRow>* rows);

// Returns the number of rows of each code, [codes.size()].
std::vector<int64_t> CountCodes(const CodeTable& table);

std::unordered_set<int64_t> VisitsIn(const std::vector<CodeRow>& rows);    // HADM_IDs
std::unordered_set<int64_t> SubjectsIn(const std::vector<CodeRow>& rows);  // SUBJECT_IDs

// Gives each row the code `text_of[row.code]`, [codes.size()]. Codes are numbered anew.
void Recode(const std::vector<std::string>& text_of, CodeTable* table);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_CODE_TABLE_H_
