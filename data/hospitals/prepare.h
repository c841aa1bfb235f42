// Turns hospital tables into a Corpus by the rules of the authors' preprocessing (docs/method.md).
#ifndef FLAME_DATA_HOSPITALS_PREPARE_H_
#define FLAME_DATA_HOSPITALS_PREPARE_H_

#include "data/corpus.h"
#include "data/options.h"

namespace flame {

// Reads options.root and options.mappings; with options.hospital "records" as ReadRecords does.
// Throws DataError on a missing table or column, a wrong delimiter, a truncated gzip or an empty
// table, and if no patient is left (naming the step that removed the last one and the counts at
// each step). Throws UsageError if options.root is empty, options.split is not three shares, or
// options.split_by is time and a visit has no year.
Corpus PrepareCorpus(const DataOptions& options);

// Turns another hospital's tables into a corpus with the codes of `base`, so that a policy trained
// on `base` can be evaluated on it without training. Its vocabularies begin with the base's codes,
// in their order; codes that the base lacks follow, as text without slots. Drugs are the base's
// alone: others are left out, and counted, as data.top_drugs and the structures are not asked. All
// visits are test visits. A hospital prepared onto itself has the visits that it has by itself.
Corpus PrepareCorpusOnto(const DataOptions& options, const Corpus& base);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_PREPARE_H_
