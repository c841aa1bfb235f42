// Physicians' decisions on lists that were shown to them, as truth for training.
#ifndef FLAME_DATA_FEEDBACK_H_
#define FLAME_DATA_FEEDBACK_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

#include "data/corpus.h"

namespace flame {

// Of one visit, ascending drug ids. No drug is in two of them.
struct Decision {
  std::vector<int32_t> accepted, removed, added;
};

// JSON lines, a visit each: {"hadm": 142345, "accepted": [codes], "removed": [codes], "added":
// [codes]}, of which hadm and at least one list must be there; codes as in `flame inspect corpus.h5
// --visits`. By index in Corpus::visits. Throws DataError "FILE: line N: ..." on a visit or drug
// that the corpus does not have, a visit that is there twice, a drug in two lists, another member
// or type.
std::map<int32_t, Decision> ReadFeedback(const std::filesystem::path& path, const Corpus& corpus);

// The corpus whose visits' drugs are what is right for them now: what was recorded, less what was
// removed, and what was accepted or added. For truths only: a prompt tells of earlier visits what
// was recorded.
Corpus WithFeedback(const Corpus& corpus, const std::map<int32_t, Decision>& feedback);

}  // namespace flame

#endif  // FLAME_DATA_FEEDBACK_H_
