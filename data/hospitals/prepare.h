// Hospital tables to Corpus, by the rules of the authors' preprocessing (docs/method.md).
#ifndef FLAME_DATA_HOSPITALS_PREPARE_H_
#define FLAME_DATA_HOSPITALS_PREPARE_H_

#include "data/corpus.h"
#include "data/options.h"

namespace flame {

// Reads options.root and options.mappings. Throws DataError: a missing table or column, a wrong
// delimiter, a truncated gzip, an empty table, no patient left (naming the step that removed the
// last one and the counts at each step).
Corpus PrepareCorpus(const DataOptions& options);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_PREPARE_H_
