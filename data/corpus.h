// A prepared hospital, the content of corpus.h5: visits, vocabularies and the DDI graph.
#ifndef FLAME_DATA_CORPUS_H_
#define FLAME_DATA_CORPUS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "data/coverage.h"
#include "data/funnel.h"
#include "data/visit.h"

namespace flame {

// Codes in order of first appearance; a code's index is its id everywhere else.
struct Vocabulary {
  std::vector<std::string> codes;   // ICD-9 as MIMIC writes it, ICD-10 as "ICD10:I509", DrugBank id
  std::vector<std::string> titles;  // short title of a code, generic name of a drug; never ""
  // Codes from this index on are unknown to the corpus onto which this one was prepared, so that
  // they are text alone, without a slot; -1: none is.
  int32_t first_unknown = -1;
  int32_t size() const { return static_cast<int32_t>(codes.size()); }
  int32_t num_slots() const { return first_unknown < 0 ? size() : first_unknown; }
};

// Harmful pairs, a symmetric 0/1 matrix with a zero diagonal.
class DdiGraph {
 public:
  DdiGraph() = default;
  explicit DdiGraph(int32_t num_drugs) : n_(num_drugs), harmful_(size_t(n_) * n_, 0) {}
  int32_t num_drugs() const { return n_; }
  bool Harmful(int32_t a, int32_t b) const { return harmful_[size_t(a) * n_ + b] != 0; }
  void Add(int32_t a, int32_t b) {
    if (a != b) harmful_[size_t(a) * n_ + b] = harmful_[size_t(b) * n_ + a] = 1;
  }
  // Returns harmful pairs / all pairs of `drugs`; 0 below two drugs.
  double Rate(const std::vector<int32_t>& drugs) const;

 private:
  int32_t n_ = 0;
  std::vector<int8_t> harmful_;
};

struct Corpus {
  std::string hospital;  // "synth", "mimic3", "records"
  // data.diagnoses: "discharge", "previous" or "admission", the time of the visits' diagnoses.
  std::string diagnoses_known = "discharge";
  std::vector<Visit> visits;  // patients in order of SUBJECT_ID, visits in data.visit_order
  Vocabulary diagnoses, procedures, drugs;
  DdiGraph ddi;
  int32_t num_patients = 0;
  std::vector<Coverage> coverage;  // of every mapping that made the corpus
  std::vector<FunnelStep> funnel;  // from the tables' rows to visits, in order

  // Returns the indices of the visits of one split, in order.
  std::vector<int32_t> VisitsOf(Split split) const;
};

// WriteCorpus writes the file atomically. ReadCorpus checks the schema version and every index, and
// throws DataError on a damaged file. docs/formats.md lists the fields.
void WriteCorpus(const Corpus& corpus, const std::filesystem::path& path);
Corpus ReadCorpus(const std::filesystem::path& path);

}  // namespace flame

#endif  // FLAME_DATA_CORPUS_H_
