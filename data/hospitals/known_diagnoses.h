// The diagnoses that a prompt may show (data.diagnoses). Codes are assigned after discharge, so a
// prompt that is to hold what was known at admission has others.
#ifndef FLAME_DATA_HOSPITALS_KNOWN_DIAGNOSES_H_
#define FLAME_DATA_HOSPITALS_KNOWN_DIAGNOSES_H_

#include <vector>

#include "data/tables/code_table.h"
#include "data/visit.h"

namespace flame {

// Gives every visit the diagnoses of its patient's earlier visits that had ended when it began, the
// oldest first, each once. A first visit has none. A patient's visits follow each other in order of
// time.
void UseEarlierDiagnoses(std::vector<Visit>* visits);

// Gives every visit the codes that `table` has of its admission, if they have more rows than
// `min_rows` among these visits. Returns the number of rows used.
int64_t UseDiagnosesOf(const CodeTable& table, int64_t min_rows, std::vector<Visit>* visits);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_KNOWN_DIAGNOSES_H_
