// A corpus, printed for people and programs.
#ifndef FLAME_LAUNCH_REPORT_INSPECT_CORPUS_H_
#define FLAME_LAUNCH_REPORT_INSPECT_CORPUS_H_

#include <cstdint>
#include <filesystem>
#include <iosfwd>

#include "data/corpus.h"

namespace flame {

// Prints the counts of a corpus: as JSON, or as lines with the coverage of each mapping and the
// funnel from the tables' rows to visits.
void PrintCorpus(const Corpus& corpus, bool as_json, std::ostream& out);

// Prints every visit as a line of JSON.
void PrintVisits(const Corpus& corpus, std::ostream& out);

// Prints AuditLeaks: the mentions by part of the prompt and every leak. As JSON, also every mention
// of a true drug.
void PrintLeaks(const Corpus& corpus, bool as_json, std::ostream& out);

// Prints one visit and its prompts as the model sees them, with the templates and slots of the run
// that holds the corpus (its config.yaml), or of the defaults. Throws UsageError if the corpus has
// no visit with this HADM_ID.
void PrintVisit(const Corpus& corpus, const std::filesystem::path& file, int64_t hadm,
                std::ostream& out);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_INSPECT_CORPUS_H_
