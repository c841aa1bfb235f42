// Writes a corpus in the common form of other projects' record files.
#ifndef FLAME_DATA_EXPORT_WRITE_RECORDS_H_
#define FLAME_DATA_EXPORT_WRITE_RECORDS_H_

#include <filesystem>

#include "data/corpus.h"

namespace flame {

// Writes JSON lines (docs/formats.md, Records) atomically. ReadRecords returns the same corpus, but
// for the name of the hospital, the coverage of mappings and the oracle's figures.
void WriteRecords(const Corpus& corpus, const std::filesystem::path& path);

}  // namespace flame

#endif  // FLAME_DATA_EXPORT_WRITE_RECORDS_H_
