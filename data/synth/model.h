// The generating model of the synthetic hospital, stated in data/synth/hospital/. docs/synth.md
// explains it.
#ifndef FLAME_DATA_SYNTH_MODEL_H_
#define FLAME_DATA_SYNTH_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace flame {

// A set of drugs, bit i for drug i of SynthModel::drugs.
using DrugBits = uint64_t;
inline constexpr int32_t kMaxSynthDrugs = 64;
inline constexpr int32_t kMaxSynthAdmissions = 4;  // per patient

// The index of an item and its chance or factor.
using Weighted = std::pair<int32_t, double>;

struct SynthDrug {
  std::string name, drugbank, smiles;
  std::vector<std::string> ndc;      // 11 digits, one or two packages
  std::vector<std::string> written;  // names as eICU writes them
  std::string synonym;               // another name that eICU's reader needs; "" if none
  int32_t of_class = -1;
  double weight = 1, older = 1, female = 1;  // factors: at the age limit and above; for women
  std::vector<Weighted> with;                // (diagnosis, factor)
  std::vector<Weighted> partners;            // (drug, chance of being given with it)
  DrugBits harmful = 0;                      // drugs it makes a harmful pair with
};

// A fluid that carries drugs in eICU's mixtures, and is no drug there.
struct SynthCarrier {
  std::string name, drugbank;
  std::vector<std::string> written;
};

struct SynthClass {
  std::string name;
  std::vector<int32_t> drugs;
  DrugBits members = 0;
  DrugBits not_with = 0;  // members of the classes that exclude this one
};

struct SynthCode {
  std::string code, short_title, long_title, concise_title;
  std::string icd10, icd10_title;  // the ICD-10 code of later years, without its dot
  std::string path;                // eICU's diagnosisstring or treatmentstring
  std::vector<Weighted> calls;     // (class, chance that it is needed for this code alone)
  // Only diagnoses have the fields below.
  std::string words;  // the name that notes use
  bool chronic = false;
  double weight = 1;                 // relative frequency
  double recorded = 1;               // factor of SynthModel::recorded
  char sex = 'U';                    // 'F' or 'M': only patients of this sex
  std::vector<Weighted> procedures;  // (procedure, chance that it is done)
};

// A distribution over small integers.
struct SynthCounts {
  std::vector<int32_t> values;
  std::vector<double> weights;
};

struct SynthModel {
  std::vector<SynthDrug> drugs;
  std::vector<SynthCarrier> carriers;
  std::vector<SynthClass> classes;  // in the order of prescribing
  std::vector<SynthCode> diagnoses, procedures;
  struct Pair {
    int32_t first, second;
    std::string sources;
  };
  std::vector<Pair> interactions;
  DrugBits absent = 0;  // drugs that are in no class and never given

  SynthCounts admissions, acute, home_drugs;
  int32_t age_low, age_high, chronic_low, chronic_high;
  double new_chronic, recorded, allergy, new_allergy, home_from_previous;
  int32_t max_procedures, fallback_procedure;

  double home_need, home_keep, previous_keep, avoid;
  int32_t older_age, fallback_drug;
};

// Reads facts.yaml, model.yaml and layouts.yaml of `folder`. Throws DataError naming the file and
// the key that is missing or the name that refers to nothing.
SynthModel LoadSynthModel(const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_MODEL_H_
