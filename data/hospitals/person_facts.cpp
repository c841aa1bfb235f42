#include "data/hospitals/person_facts.h"

#include <algorithm>

#include "base/log.h"
#include "data/hospitals/hospital.h"
#include "data/tables/codes.h"

namespace flame {

char GenderReader::Read(const CsvRow& row, size_t column) {
  const std::string gender = CanonicalId(row[column]);
  if (gender == "F" || gender == "FEMALE") return 'F';
  if (gender == "M" || gender == "MALE") return 'M';
  const bool unknown = gender == "U" || gender == "UNKNOWN" || gender == "OTHER";
  if (!unknown && !IsMissing(gender) && ++unread_ == 1) first_ = gender;
  return 'U';
}

void GenderReader::Warn(const CsvTable& table) const {
  if (unread_ == 0) return;
  LogWarning("prepare: ", table.path(), ": ", unread_, " rows have a GENDER such as '", first_,
             "', which counts as unknown; expected F or M");
}

int32_t AgeOf(const CsvRow& row, size_t column) {
  const int64_t age = row.Integer(column);
  if (age < 0 || age > kMostYears) row.Fail(column, "an age in years, at least 0");
  return static_cast<int32_t>(std::min<int64_t>(age, kAgeCap));
}

}  // namespace flame
