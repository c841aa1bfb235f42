// Physicians' decisions on lists that were shown to them, used as truth for training.
#ifndef FLAME_DATA_FEEDBACK_H_
#define FLAME_DATA_FEEDBACK_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <vector>

#include "data/corpus.h"

namespace flame {

// The decision on one visit, as ascending drug ids. No drug is in two of the lists.
struct Decision {
  std::vector<int32_t> accepted, removed, added;
};

// Reads JSON lines, one visit each: {"hadm": 142345, "accepted": [codes], "removed": [codes],
// "added": [codes]}. hadm and at least one list are required; codes are as in `flame inspect
// corpus.h5 --visits`. Returns the decisions by index in Corpus::visits. Throws DataError "FILE:
// line N: ..." on a visit or drug that the corpus does not have, a visit that appears twice, a drug
// in two lists, another member or another type.
std::map<int32_t, Decision> ReadFeedback(const std::filesystem::path& path, const Corpus& corpus);

// Returns the corpus with the drugs of its visits corrected: the recorded drugs, without the
// removed ones and with the accepted and added ones. For truths only: a prompt shows the recorded
// drugs of earlier visits.
Corpus WithFeedback(const Corpus& corpus, const std::map<int32_t, Decision>& feedback);

}  // namespace flame

#endif  // FLAME_DATA_FEEDBACK_H_
