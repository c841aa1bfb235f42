// The potential phi of a drug list (eq. 8), updated while the list is edited.
#ifndef FLAME_REWARD_POTENTIAL_H_
#define FLAME_REWARD_POTENTIAL_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "data/list_task.h"

namespace flame {

// A set of drug ids below a fixed size, one bit each.
class DrugSet {
 public:
  explicit DrugSet(int32_t num_drugs = 0) : words_((num_drugs + 63) / 64, 0) {}
  DrugSet(int32_t num_drugs, const std::vector<int32_t>& drugs);
  bool Has(int32_t drug) const { return words_[drug >> 6] >> (drug & 63) & 1; }
  void Insert(int32_t drug) { words_[drug >> 6] |= uint64_t{1} << (drug & 63); }
  void Erase(int32_t drug) { words_[drug >> 6] &= ~(uint64_t{1} << (drug & 63)); }
  int32_t Size() const;
  int32_t CommonWith(const DrugSet& other) const;  // size of the intersection
  std::vector<int32_t> Drugs() const;              // ascending
  // Returns a number that depends on the set alone; two sets share one with a chance of 2^-64.
  int64_t Fingerprint() const;

 private:
  std::vector<uint64_t> words_;
};

// Returns, for each drug d, the drugs that are harmful together with d.
std::vector<DrugSet> HarmfulPartners(const DdiGraph& ddi);

// The three terms of phi, each in 0..1 and unweighted.
struct PhiTerms {
  double jaccard = 0;  // 0 if the list or the truth is empty
  double ddi = 0;      // harmful pairs / all pairs of the list; 0 if it has fewer than two drugs
  // Lines that name no known drug / lines so far; 0 before the first line.
  double refusal = 0;
};

// A list being edited. Keeps references to its arguments, except `input`.
class Potential {
 public:
  Potential(const std::vector<DrugSet>& partners, const DrugSet& truth,
            const std::vector<int32_t>& input);
  // Applies one line. `drug` -1: the line names no known drug, which counts as a refusal. Adding a
  // drug that is in the list, or removing one that is not, changes nothing and is no refusal.
  void Apply(Edit edit, int32_t drug);
  PhiTerms Terms() const;
  std::vector<int32_t> list() const { return list_.Drugs(); }
  int64_t fingerprint() const { return list_.Fingerprint(); }
  int32_t num_lines() const { return num_lines_; }
  int32_t num_refused() const { return num_refused_; }

 private:
  void Toggle(int32_t drug);
  const std::vector<DrugSet>& partners_;
  const DrugSet& truth_;
  DrugSet list_;
  int32_t truth_size_ = 0;
  int32_t size_ = 0, common_ = 0;  // drugs of the list: all, and those in the truth
  int64_t harmful_pairs_ = 0;
  int32_t num_lines_ = 0, num_refused_ = 0;
};

}  // namespace flame

#endif  // FLAME_REWARD_POTENTIAL_H_
