// One question to the list-wise policy: which drugs to add to, or remove from, this list.
#ifndef FLAME_DATA_LIST_TASK_H_
#define FLAME_DATA_LIST_TASK_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/corpus.h"
#include "data/options.h"

namespace flame {

enum class Edit : int8_t { kAdd = 0, kRemove = 1 };

// Worked example: the truth is {1, 5, 9}, pi_cls said {5, 7}, and its P(Yes) is higher for drug 1
// than for drug 9:
//   Add:    {visit 3, kAdd,    input {5, 7}, target {1, 9}}
//   Remove: {visit 3, kRemove, input {5, 7}, target {7}}
struct ListTask {
  int32_t visit = 0;  // index in Corpus::visits
  Edit edit = Edit::kAdd;
  std::vector<int32_t> input;   // the drug list shown, no repeats
  std::vector<int32_t> target;  // drugs that the policy learns to write; empty: only end-of-text
};

// The scores that pi_cls gives every drug for some visits.
struct Scores {
  std::vector<int32_t> visits;  // indices in Corpus::visits
  // [visits, drugs] row-major: the score of ClassifyVisits (recommend/classify.h), in 0..1; P(Yes)
  // if the offset is 0.
  std::vector<float> yes;
  // Returns the drugs of row `i` with a score above 0.5, ascending.
  std::vector<int32_t> Predicted(int64_t i, int32_t num_drugs) const;
};
void WriteScores(const Scores& scores, int32_t num_drugs, const std::filesystem::path& path);

// Builds the list tasks of `visits`, by `options.errors`:
//   train:   input lists are true lists, with errors drawn as in docs/method.md (List tasks) from
//            the errors of `scores`.
//   holdout, crossfit: input lists are the real predictions of `scores`, whose visits the
//            classifier did not train on, and, for options.per_visit > 2, corrupted true lists too.
// If `scores` has the visit, its targets are in the order of P(Yes): drugs to add surest first,
// drugs to remove least sure first. Greedy decoding then writes the likeliest drugs first and ends.
// If `scores` lacks the visit, targets are in the order of the visit or of the input. Deterministic
// in seed. Throws DataError if `scores` is empty, does not fit the corpus or lacks a visit whose
// real prediction is needed.
std::vector<ListTask> BuildListTasks(const Corpus& corpus, const Scores& scores,
                                     const std::vector<int32_t>& visits, const TaskOptions& options,
                                     uint64_t seed);

void WriteListTasks(const std::vector<ListTask>& tasks, const std::filesystem::path& path);
std::vector<ListTask> ReadListTasks(const std::filesystem::path& path);

}  // namespace flame

#endif  // FLAME_DATA_LIST_TASK_H_
