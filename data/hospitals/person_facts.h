// Sex and age as hospital tables write them.
#ifndef FLAME_DATA_HOSPITALS_PERSON_FACTS_H_
#define FLAME_DATA_HOSPITALS_PERSON_FACTS_H_

#include <string>

#include "data/tables/csv_table.h"

namespace flame {

// Reads a column of genders.
class GenderReader {
 public:
  // Returns 'F', 'M', or 'U' for unknown. Counts texts that are none of these.
  char Read(const CsvRow& row, size_t column);
  // Warns if there were such texts.
  void Warn(const CsvTable& table) const;

 private:
  int64_t unread_ = 0;
  std::string first_;
};

// Returns an age in years, capped at kAgeCap. Throws DataError if the value is no age.
int32_t AgeOf(const CsvRow& row, size_t column);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_PERSON_FACTS_H_
