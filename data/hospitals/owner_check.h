// Finds rows of a table that give an admission to another patient than ADMISSIONS does, and rows of
// admissions that it lacks.
#ifndef FLAME_DATA_HOSPITALS_OWNER_CHECK_H_
#define FLAME_DATA_HOSPITALS_OWNER_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data/hospitals/hospital.h"
#include "data/tables/csv_table.h"

namespace flame {

class OwnerCheck {
 public:
  explicit OwnerCheck(const Admissions& admissions);
  void See(const CsvRow& row, int64_t subject, int64_t hadm);
  // Throws DataError with the first row of another patient and their number. Warns of rows whose
  // admission is in no row of ADMISSIONS.
  void Finish(const CsvTable& table) const;

 private:
  // An admission and its patient, in a table with open addressing: it is asked for every row of
  // tables of millions, and half as large as `Admissions`.
  struct Owner {
    int64_t hadm = 0, subject = 0;
    bool used = false;
  };
  size_t PlaceOf(int64_t hadm) const;

  std::vector<Owner> owners_;  // a power of two
  Owner last_;                 // the rows of an admission stand together
  int64_t rows_ = 0, orphans_ = 0, first_orphan_ = 0;
  std::string first_;
};

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_OWNER_CHECK_H_
