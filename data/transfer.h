// One hospital's visits for a policy that was trained on another's.
#ifndef FLAME_DATA_TRANSFER_H_
#define FLAME_DATA_TRANSFER_H_

#include <filesystem>

#include "data/corpus.h"

namespace flame {

// Returns a corpus in which `other`, prepared onto `base` (PrepareCorpusOnto), is the test split.
// The training and validation visits are those of `base`, for whatever is fitted or chosen there;
// its test visits are in no split. Throws DataError, naming `file`, from which `other` comes, if
// its codes do not begin with all of the base's, in their order, or if its drugs are not the
// base's.
Corpus OntoTrained(const Corpus& base, const Corpus& other, const std::filesystem::path& file);

}  // namespace flame

#endif  // FLAME_DATA_TRANSFER_H_
