#include "reward/potential.h"

#include <bit>

#include "base/random.h"

namespace flame {

DrugSet::DrugSet(int32_t num_drugs, const std::vector<int32_t>& drugs) : DrugSet(num_drugs) {
  for (int32_t drug : drugs) Insert(drug);
}

int32_t DrugSet::Size() const {
  int32_t size = 0;
  for (uint64_t word : words_) size += std::popcount(word);
  return size;
}

int32_t DrugSet::CommonWith(const DrugSet& other) const {
  int32_t size = 0;
  for (size_t i = 0; i < words_.size(); ++i) size += std::popcount(words_[i] & other.words_[i]);
  return size;
}

std::vector<int32_t> DrugSet::Drugs() const {
  std::vector<int32_t> drugs;
  for (size_t i = 0; i < words_.size(); ++i) {
    for (uint64_t word = words_[i]; word != 0; word &= word - 1) {
      drugs.push_back(static_cast<int32_t>(64 * i) + std::countr_zero(word));
    }
  }
  return drugs;
}

int64_t DrugSet::Fingerprint() const {
  uint64_t sum = 0;
  for (const int32_t drug : Drugs()) {
    const auto words = Philox4x32({static_cast<uint32_t>(drug), 0, 0, 0}, {0, 0});
    sum += uint64_t{words[1]} << 32 | words[0];
  }
  return static_cast<int64_t>(sum);
}

std::vector<DrugSet> HarmfulPartners(const DdiGraph& ddi) {
  const int32_t n = ddi.num_drugs();
  std::vector<DrugSet> partners(n, DrugSet(n));
  for (int32_t a = 0; a < n; ++a) {
    for (int32_t b = 0; b < n; ++b) {
      if (ddi.Harmful(a, b)) partners[a].Insert(b);
    }
  }
  return partners;
}

Potential::Potential(const std::vector<DrugSet>& partners, const DrugSet& truth,
                     const std::vector<int32_t>& input)
    : partners_(partners),
      truth_(truth),
      list_(static_cast<int32_t>(partners.size())),
      truth_size_(truth.Size()) {
  for (int32_t drug : input) {
    if (!list_.Has(drug)) Toggle(drug);
  }
}

void Potential::Apply(Edit edit, int32_t drug) {
  ++num_lines_;
  if (drug < 0) {
    ++num_refused_;
  } else if (list_.Has(drug) == (edit == Edit::kRemove)) {
    Toggle(drug);
  }
}

// Updates the counts by the drug's own share, so that no term is computed from the start.
void Potential::Toggle(int32_t drug) {
  const bool enters = !list_.Has(drug);
  if (!enters) list_.Erase(drug);
  const int32_t sign = enters ? 1 : -1;
  size_ += sign;
  if (truth_.Has(drug)) common_ += sign;
  harmful_pairs_ += sign * partners_[drug].CommonWith(list_);
  if (enters) list_.Insert(drug);
}

PhiTerms Potential::Terms() const {
  PhiTerms terms;
  if (size_ > 0 && truth_size_ > 0) {
    terms.jaccard = static_cast<double>(common_) / (size_ + truth_size_ - common_);
  }
  if (size_ > 1) terms.ddi = harmful_pairs_ / (0.5 * size_ * (size_ - 1));
  terms.refusal = num_lines_ == 0 ? 0 : static_cast<double>(num_refused_) / num_lines_;
  return terms;
}

}  // namespace flame
