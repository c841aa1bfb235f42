#include "data/list_task.h"

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "base/random.h"
#include "data/ragged.h"

namespace flame {
namespace {

constexpr char kScoresSchema[] = "flame.scores/1";
constexpr char kTasksSchema[] = "flame.tasks/1";

using Drugs = std::vector<int32_t>;

bool Contains(const Drugs& drugs, int32_t drug) {
  return std::find(drugs.begin(), drugs.end(), drug) != drugs.end();
}

// Returns the drugs of `all` that are not in `others`, in the order of `all`.
Drugs Without(const Drugs& all, const Drugs& others) {
  Drugs rest;
  for (int32_t drug : all) {
    if (!Contains(others, drug)) rest.push_back(drug);
  }
  return rest;
}

// The classifier's errors: counts of (misses, extras) by length of the true list, and how often
// each drug was missed or over-predicted.
class ErrorStatistics {
 public:
  ErrorStatistics(const Corpus& corpus, const Scores& scores)
      : missed_(corpus.drugs.size(), 0), extra_(corpus.drugs.size(), 0) {
    for (size_t i = 0; i < scores.visits.size(); ++i) {
      const Drugs& truth = corpus.visits[scores.visits[i]].drugs;
      const Drugs predicted = scores.Predicted(static_cast<int64_t>(i), corpus.drugs.size());
      const Drugs misses = Without(truth, predicted), extras = Without(predicted, truth);
      pairs_[truth.size()].push_back({misses.size(), extras.size()});
      for (int32_t drug : misses) ++missed_[drug];
      for (int32_t drug : extras) ++extra_[drug];
    }
  }

  // Returns `truth` with drugs dropped and inserted, shuffled.
  Drugs Corrupt(const Drugs& truth, RandomStream* random) const {
    const std::vector<Counts>& counts = PairsOfNearestLength(truth.size());
    const Counts count = counts[random->Below(counts.size())];
    Drugs wrong;
    for (size_t drug = 0; drug < extra_.size(); ++drug) {
      if (!Contains(truth, static_cast<int32_t>(drug))) wrong.push_back(static_cast<int32_t>(drug));
    }
    Drugs list = Without(truth, Draw(count.misses, truth, missed_, random));
    const Drugs inserted = Draw(count.extras, wrong, extra_, random);
    list.insert(list.end(), inserted.begin(), inserted.end());
    random->Shuffle(&list);
    return list;
  }

 private:
  struct Counts {
    size_t misses, extras;
  };

  const std::vector<Counts>& PairsOfNearestLength(size_t length) const {
    auto above = pairs_.lower_bound(length);
    if (above == pairs_.end()) return std::prev(above)->second;
    if (above->first == length || above == pairs_.begin()) return above->second;
    const auto below = std::prev(above);
    return length - below->first <= above->first - length ? below->second : above->second;
  }

  // Draws `count` drugs of `from`, one after another in proportion to `weights`. Draws fewer if the
  // others have weight 0, that is, if the classifier never errs in them.
  static Drugs Draw(size_t count, Drugs from, const std::vector<double>& weights,
                    RandomStream* random) {
    std::erase_if(from, [&](int32_t drug) { return weights[drug] == 0; });
    Drugs drawn;
    while (drawn.size() < count && !from.empty()) {
      std::vector<double> chances;
      for (int32_t drug : from) chances.push_back(weights[drug]);
      const size_t at = random->Weighted(chances);
      drawn.push_back(from[at]);
      from.erase(from.begin() + static_cast<int64_t>(at));
    }
    return drawn;
  }

  std::map<size_t, std::vector<Counts>> pairs_;
  std::vector<double> missed_, extra_;
};

// Returns the row of each visit in the scores. Throws DataError unless the scores fit the corpus.
std::unordered_map<int32_t, int64_t> RowsOf(const Corpus& corpus, const Scores& scores) {
  if (scores.visits.empty()) {
    throw DataError("list tasks need classifier scores of at least one visit; there are none");
  }
  if (scores.yes.size() != scores.visits.size() * static_cast<size_t>(corpus.drugs.size())) {
    throw DataError("there are ", scores.yes.size(), " scores of ", scores.visits.size(),
                    " visits; expected one for each of ", corpus.drugs.size(), " drugs");
  }
  std::unordered_map<int32_t, int64_t> rows;
  for (size_t i = 0; i < scores.visits.size(); ++i) {
    const int32_t visit = scores.visits[i];
    if (visit < 0 || static_cast<size_t>(visit) >= corpus.visits.size()) {
      throw DataError("scores of visit ", visit, "; the corpus has visits 0..",
                      corpus.visits.size() - 1);
    }
    rows[visit] = static_cast<int64_t>(i);
  }
  return rows;
}

// Sorts by P(Yes), the surest drug first.
void SortBySurety(const float* yes, Drugs* drugs) {
  std::stable_sort(drugs->begin(), drugs->end(),
                   [&](int32_t a, int32_t b) { return yes[a] > yes[b]; });
}

// Appends the Add task of `input`, and the Remove task if `both`. `yes` is the visit's scores;
// null: none.
void AppendTasks(int32_t visit, const Drugs& truth, const Drugs& input, const float* yes, bool both,
                 std::vector<ListTask>* tasks) {
  Drugs missing = Without(truth, input), extra = Without(input, truth);
  if (yes != nullptr) {
    SortBySurety(yes, &missing);
    SortBySurety(yes, &extra);
    std::reverse(extra.begin(), extra.end());
  }
  tasks->push_back({visit, Edit::kAdd, input, std::move(missing)});
  if (both) tasks->push_back({visit, Edit::kRemove, input, std::move(extra)});
}

}  // namespace

std::vector<int32_t> Scores::Predicted(int64_t i, int32_t num_drugs) const {
  std::vector<int32_t> drugs;
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    if (yes[i * num_drugs + drug] > 0.5f) drugs.push_back(drug);
  }
  return drugs;
}

void WriteScores(const Scores& scores, int32_t num_drugs, const std::filesystem::path& path) {
  AtomicPath target(path, AtomicPath::Kind::kFile);
  Hdf5File file = Hdf5File::Create(target.temporary());
  file.SetAttribute("schema", kScoresSchema);
  file.Write("visits", scores.visits);
  file.WriteMatrix("yes", scores.yes, static_cast<int64_t>(scores.visits.size()), num_drugs);
  file.Close();
  SealFile(target.temporary());
  target.Commit();
}

std::vector<ListTask> BuildListTasks(const Corpus& corpus, const Scores& scores,
                                     const std::vector<int32_t>& visits, const TaskOptions& options,
                                     uint64_t seed) {
  const auto rows = RowsOf(corpus, scores);
  const ErrorStatistics errors(corpus, scores);
  const bool real = options.errors != "train";
  const int32_t num_drugs = corpus.drugs.size();
  std::vector<ListTask> tasks;
  for (int32_t visit : visits) {
    const Drugs& truth = corpus.visits.at(visit).drugs;
    const auto row = rows.find(visit);
    const float* yes =
        row == rows.end() ? nullptr : scores.yes.data() + row->second * int64_t{num_drugs};
    int64_t made = 0;
    if (real) {
      if (yes == nullptr) {
        throw DataError("tasks.errors: ", options.errors,
                        " needs the classifier's scores of visit ", visit, ", which are not there");
      }
      Drugs predicted = scores.Predicted(row->second, num_drugs);
      SortBySurety(yes, &predicted);
      AppendTasks(visit, truth, predicted, yes, true, &tasks);
      made = 2;
    }
    for (; made < options.per_visit; made += 2) {
      RandomStream random(seed, kTasks, static_cast<uint32_t>(visit), static_cast<uint32_t>(made));
      AppendTasks(visit, truth, errors.Corrupt(truth, &random), yes, made + 1 < options.per_visit,
                  &tasks);
    }
  }
  return tasks;
}

void WriteListTasks(const std::vector<ListTask>& tasks, const std::filesystem::path& path) {
  std::vector<int32_t> visits;
  std::vector<int8_t> edits;
  std::vector<Drugs> inputs, targets;
  for (const ListTask& task : tasks) {
    visits.push_back(task.visit);
    edits.push_back(static_cast<int8_t>(task.edit));
    inputs.push_back(task.input);
    targets.push_back(task.target);
  }
  AtomicPath target(path, AtomicPath::Kind::kFile);
  Hdf5File file = Hdf5File::Create(target.temporary());
  file.SetAttribute("schema", kTasksSchema);
  file.Write("visit", visits);
  file.Write("edit", edits);
  WriteRagged(&file, "input", inputs);
  WriteRagged(&file, "target", targets);
  file.Close();
  SealFile(target.temporary());
  target.Commit();
}

std::vector<ListTask> ReadListTasks(const std::filesystem::path& path) {
  constexpr int32_t kAnyDrug = std::numeric_limits<int32_t>::max();
  const std::string where = path.string();
  CheckSeal(path);
  const Hdf5File file = Hdf5File::OpenForReading(path);
  CheckSchema(file, kTasksSchema, where);
  const auto visits = file.Read<int32_t>("visit");
  const auto edits = ReadSized<int8_t>(file, "edit", visits.size(), where);
  auto inputs = ReadRagged(file, "input", visits.size(), kAnyDrug, where);
  auto targets = ReadRagged(file, "target", visits.size(), kAnyDrug, where);
  std::vector<ListTask> tasks;
  for (size_t i = 0; i < visits.size(); ++i) {
    if (visits[i] < 0 || edits[i] < 0 || edits[i] > 1) {
      throw DataError(where, ": task ", i, " is of visit ", visits[i], " and edit ", int{edits[i]},
                      "; expected a visit from 0 and edit 0 (add) or 1 (remove)");
    }
    tasks.push_back(
        {visits[i], static_cast<Edit>(edits[i]), std::move(inputs[i]), std::move(targets[i])});
  }
  return tasks;
}

}  // namespace flame
