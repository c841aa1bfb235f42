// One hospital's visits for a policy that was trained on another's.
#ifndef FLAME_DATA_TRANSFER_H_
#define FLAME_DATA_TRANSFER_H_

#include <cstdint>
#include <filesystem>
#include <limits>

#include "data/corpus.h"

namespace flame {

// Years of the calendar, the last included.
struct YearRange {
  int32_t first = std::numeric_limits<int32_t>::min(), last = std::numeric_limits<int32_t>::max();
};

// Returns a corpus in which `other`, prepared onto `base` (PrepareCorpusOnto), is the test split,
// as far as its visits are of `years`; its other visits are in no split, and still the history of
// later ones. The training and validation visits are those of `base`, for whatever is fitted or
// chosen there; its test visits are in no split. Throws DataError, naming `file`, from which
// `other` comes, if its codes do not begin with all of the base's, in their order, if its drugs are
// not the base's, or if no visit is of `years`.
Corpus OntoTrained(const Corpus& base, const Corpus& other, const std::filesystem::path& file,
                   const YearRange& years = {});

}  // namespace flame

#endif  // FLAME_DATA_TRANSFER_H_
