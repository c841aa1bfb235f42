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

// Worked example: the truth is {1, 5, 9}, pi_cls said {5, 7}:
//   Add:    {visit 3, kAdd,    input {5, 7}, target {1, 9}}
//   Remove: {visit 3, kRemove, input {5, 7}, target {7}}
struct ListTask {
  int32_t visit = 0;  // index in Corpus::visits
  Edit edit = Edit::kAdd;
  std::vector<int32_t> input;   // the drug list shown, no repeats
  std::vector<int32_t> target;  // what SFT teaches to write; empty: end-of-text alone
};

// pi_cls's scores of every drug for some visits.
struct Scores {
  std::vector<int32_t> visits;  // indices in Corpus::visits
  std::vector<float> yes;       // [visits, drugs] row-major: P(Yes) in 0..1
  // Drugs with P(Yes) > P(No) of row `i`, by index.
  std::vector<int32_t> Predicted(int64_t i, int32_t num_drugs) const;
};
void WriteScores(const Scores& scores, int32_t num_drugs, const std::filesystem::path& path);
Scores ReadScores(const std::filesystem::path& path);

// Tasks by `options.errors`:
//   train:   `visits` get their true lists corrupted by the statistics of `scores`' errors
//            (docs/method.md, List tasks).
//   holdout, crossfit: input lists are the real predictions of `scores`, whose visits the
//            classifier did not train on, and, for options.per_visit > 2, corrupted true lists too.
// Where `scores` has the visit, its targets stand in the order of P(Yes): drugs to add surest
// first, drugs to remove least sure first, so that greedy decoding writes what is likeliest and
// then ends; elsewhere in the visit's and the input's order. Deterministic in seed.
std::vector<ListTask> BuildListTasks(const Corpus& corpus, const Scores& scores,
                                     const std::vector<int32_t>& visits, const TaskOptions& options,
                                     uint64_t seed);

void WriteListTasks(const std::vector<ListTask>& tasks, const std::filesystem::path& path);
std::vector<ListTask> ReadListTasks(const std::filesystem::path& path);

}  // namespace flame

#endif  // FLAME_DATA_LIST_TASK_H_
