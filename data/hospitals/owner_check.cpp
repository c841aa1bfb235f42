#include "data/hospitals/owner_check.h"

#include "base/error.h"
#include "base/log.h"

namespace flame {

void OwnerCheck::See(const CsvRow& row, int64_t subject, int64_t hadm) {
  const auto owner = admissions_.find(hadm);
  if (owner == admissions_.end()) {
    if (++orphans_ == 1) first_orphan_ = hadm;
    return;
  }
  if (owner->second.subject == subject) return;
  if (++rows_ > 1) return;
  first_ = StrCat("data row ", row.number(), " gives HADM_ID ", hadm, " to SUBJECT_ID ", subject,
                  ", ADMISSIONS to ", owner->second.subject);
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
