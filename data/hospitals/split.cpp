#include "data/hospitals/split.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace flame {
namespace {

// Tells the split of each of `count` things by its place in their order.
class Cut {
 public:
  Cut(const std::vector<int64_t>& shares, int64_t count) {
    const int64_t sum = shares[0] + shares[1] + shares[2];
    train_end_ = count * shares[0] / sum;
    validation_end_ = count * (shares[0] + shares[1]) / sum;
  }
  Split At(int64_t place) const {
    return place < train_end_        ? Split::kTrain
           : place < validation_end_ ? Split::kValidation
                                     : Split::kTest;
  }

 private:
  int64_t train_end_, validation_end_;
};

}  // namespace

void SplitByPosition(const std::vector<int64_t>& shares, std::vector<Visit>* visits) {
  const Cut cut(shares, static_cast<int64_t>(visits->size()));
  for (size_t i = 0; i < visits->size(); ++i) (*visits)[i].split = cut.At(static_cast<int64_t>(i));
}

void SplitByPatient(const std::vector<int64_t>& shares, std::vector<Visit>* visits) {
  int64_t patients = 0;
  for (const Visit& visit : *visits) patients = std::max(patients, int64_t{visit.patient} + 1);
  const Cut cut(shares, patients);
  for (Visit& visit : *visits) visit.split = cut.At(visit.patient);
}

void SplitByTime(const std::vector<int64_t>& shares, std::vector<Visit>* visits) {
  const auto without = [](const Visit& visit) { return visit.year == 0; };
  const auto first = std::find_if(visits->begin(), visits->end(), without);
  if (first != visits->end()) {
    throw UsageError("data.split_by is time, but ",
                     std::count_if(visits->begin(), visits->end(), without), " of ", visits->size(),
                     " visits, such as HADM_ID ", first->hadm,
                     ", have no year of the calendar; expected position or patient. MIMIC-III ",
                     "shifts the dates of each patient by a time of its own, so they do not tell ",
                     "which of two patients came first");
  }
  std::vector<size_t> order(visits->size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return (*visits)[a].year < (*visits)[b].year; });
  const Cut cut(shares, static_cast<int64_t>(order.size()));
  for (size_t place = 0; place < order.size(); ++place) {
    (*visits)[order[place]].split = cut.At(static_cast<int64_t>(place));
  }
}

void SplitVisits(const std::string& by, const std::vector<int64_t>& shares,
                 std::vector<Visit>* visits) {
  if (by == "position") return SplitByPosition(shares, visits);
  if (by == "patient") return SplitByPatient(shares, visits);
  if (by == "time") return SplitByTime(shares, visits);
  throw UsageError("data.split_by is '", by, "'; expected position, patient or time");
}

std::string NameOf(Split split) {
  return split == Split::kTrain ? "train" : split == Split::kValidation ? "validation" : "test";
}

std::optional<Split> SplitNamed(std::string_view name) {
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    if (name == NameOf(split)) return split;
  }
  return std::nullopt;
}

}  // namespace flame
