#include "data/hospitals/owner_check.h"

#include <bit>

#include "base/error.h"
#include "base/log.h"

namespace flame {

OwnerCheck::OwnerCheck(const Admissions& admissions)
    : owners_(std::bit_ceil(admissions.size() * 2 + 1)) {
  for (const auto& [hadm, admission] : admissions) {
    owners_[PlaceOf(hadm)] = {hadm, admission.subject, true};
  }
}

// Returns the place that the admission has or would have.
size_t OwnerCheck::PlaceOf(int64_t hadm) const {
  const size_t mask = owners_.size() - 1;
  size_t place = (static_cast<uint64_t>(hadm) * 0x9e3779b97f4a7c15u) >> 32;  // 2^64 / golden ratio
  for (place &= mask; owners_[place].used && owners_[place].hadm != hadm;) {
    place = (place + 1) & mask;
  }
  return place;
}

void OwnerCheck::See(const CsvRow& row, int64_t subject, int64_t hadm) {
  if (!last_.used || last_.hadm != hadm) last_ = owners_[PlaceOf(hadm)];
  const Owner& owner = last_;
  if (!owner.used) {
    if (++orphans_ == 1) first_orphan_ = hadm;
    return;
  }
  if (owner.subject == subject) return;
  if (++rows_ > 1) return;
  first_ = StrCat(row.Where(), ", gives HADM_ID ", hadm, " to SUBJECT_ID ", subject,
                  ", ADMISSIONS to ", owner.subject);
}

void OwnerCheck::Finish(const CsvTable& table) const {
  if (orphans_ > 0) {
    LogWarning("prepare: ", table.path(), ": ", orphans_,
               " rows are of admissions such as HADM_ID ", first_orphan_,
               ", which ADMISSIONS lacks");
  }
  if (rows_ == 0) return;
  throw DataError(table.path(), ": ", first_,
                  "; expected one patient of an admission. Rows like this one: ", rows_);
}

}  // namespace flame
