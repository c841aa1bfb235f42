#include "data/transfer.h"

#include <algorithm>

#include "base/error.h"

namespace flame {
namespace {

void CheckBegins(const Vocabulary& base, const Vocabulary& other, const char* name,
                 const std::filesystem::path& file) {
  const bool begins = other.first_unknown == base.size() && other.size() >= base.size() &&
                      std::equal(base.codes.begin(), base.codes.end(), other.codes.begin()) &&
                      std::equal(base.titles.begin(), base.titles.end(), other.titles.begin());
  if (begins) return;
  throw DataError(file.string(), ": its ", name, " do not begin with the ", base.size(),
                  " of the run; expected a corpus made by `flame prepare --onto` this run");
}

}  // namespace

Corpus OntoTrained(const Corpus& base, const Corpus& other, const std::filesystem::path& file,
                   const YearRange& years) {
  if (base.diagnoses_known != other.diagnoses_known) {
    throw DataError(file.string(), ": its diagnoses are those of ", other.diagnoses_known,
                    " (data.diagnoses), the run's those of ", base.diagnoses_known,
                    "; expected the same");
  }
  CheckBegins(base.diagnoses, other.diagnoses, "diagnoses", file);
  CheckBegins(base.procedures, other.procedures, "procedures", file);
  CheckBegins(base.drugs, other.drugs, "drugs", file);
  Corpus joint = other;
  joint.visits = base.visits;
  joint.num_patients = base.num_patients + other.num_patients;
  for (Visit& visit : joint.visits) {
    if (visit.split == Split::kTest) visit.split = Split::kNone;
  }
  const auto offset = static_cast<int32_t>(base.visits.size());
  for (Visit visit : other.visits) {
    visit.patient += base.num_patients;
    if (visit.previous >= 0) visit.previous += offset;
    const bool asked = visit.year >= years.first && visit.year <= years.last;
    visit.split = asked ? Split::kTest : Split::kNone;
    joint.visits.push_back(std::move(visit));
  }
  if (joint.VisitsOf(Split::kTest).empty()) {
    const auto [least, most] =
        std::minmax_element(other.visits.begin(), other.visits.end(),
                            [](const Visit& a, const Visit& b) { return a.year < b.year; });
    throw DataError(file.string(), ": no visit is of ", years.first, " to ", years.last,
                    "; its visits are of the years ", least->year, " to ", most->year,
                    ", where 0 is an unknown year");
  }
  return joint;
}

}  // namespace flame
