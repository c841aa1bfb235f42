// Reads the record files of other projects in their common form, JSON lines (docs/formats.md,
// Records; scripts/convert_records.py makes them).
#ifndef FLAME_DATA_HOSPITALS_RECORDS_H_
#define FLAME_DATA_HOSPITALS_RECORDS_H_

#include "data/corpus.h"
#include "data/options.h"

namespace flame {

// Reads the file options.root. Vocabularies, patients and visits keep the file's order. A visit's
// previous one is that before it of the same patient, unless the file names another. Visits are
// split as the file has it; if it has no splits, by options.split, three shares. A title that the
// file lacks is looked up in options.mappings, if that is set, and is else the code; of two drug
// names that match each other the later gets " (code)" appended. Of the other options none counts.
// Throws DataError "FILE: line N: ..." on text that is no JSON or has other members or types, a
// code that the first line lacks, a repeated code, visit or pair, visits of one patient that are
// not contiguous, and a split that some visits have and others lack.
Corpus ReadRecords(const DataOptions& options);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_RECORDS_H_
