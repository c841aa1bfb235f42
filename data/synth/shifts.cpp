#include "data/synth/shifts.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/synth/yaml_node.h"

namespace flame {
namespace {

constexpr SynthShift kShifts[] = {SynthShift::kPrevalence, SynthShift::kCoding,
                                  SynthShift::kPrescribing, SynthShift::kFormulary};

// Returns the item whose `field` is `name`.
template <class Item>
Item& Named(std::vector<Item>* items, std::string Item::*field, const std::string& name,
            const YamlNode& at) {
  const auto found = std::find_if(items->begin(), items->end(),
                                  [&](const Item& item) { return item.*field == name; });
  if (found == items->end()) throw DataError(at.Place(), ": nothing is named '", name, "'");
  return *found;
}

SynthCode& Diagnosis(SynthModel* model, const std::string& code, const YamlNode& at) {
  return Named(&model->diagnoses, &SynthCode::code, code, at);
}

SynthDrug& Drug(SynthModel* model, const std::string& name, const YamlNode& at) {
  return Named(&model->drugs, &SynthDrug::name, name, at);
}

void ShiftPrevalence(const YamlNode& shift, SynthModel* model) {
  for (const auto& [code, factor] : shift["weight"].Entries()) {
    Diagnosis(model, code, factor).weight *= factor.As<double>();
  }
}

void ShiftCoding(const YamlNode& shift, SynthModel* model) {
  model->recorded = shift["recorded"].As<double>();
  model->max_procedures = shift["procedures"].As<int32_t>();
  for (const YamlNode& code : shift["never"].Items()) {
    Diagnosis(model, code.As<std::string>(), code).recorded = 0;
  }
}

void ShiftPrescribing(const YamlNode& shift, SynthModel* model) {
  std::vector<double> factors(model->classes.size(), 1.0);
  for (const auto& [name, factor] : shift["need"].Entries()) {
    const SynthClass& group = Named(&model->classes, &SynthClass::name, name, factor);
    factors[&group - model->classes.data()] = factor.As<double>();
  }
  for (auto* codes : {&model->diagnoses, &model->procedures}) {
    for (SynthCode& code : *codes) {
      for (auto& [group, chance] : code.calls) {
        if (factors[group] != 1) chance = 1 - std::pow(1 - chance, factors[group]);
      }
    }
  }
  for (const auto& [name, factor] : shift["weight"].Entries()) {
    Drug(model, name, factor).weight *= factor.As<double>();
  }
}

// Takes a drug off its class and from its partners, so that it is never drawn.
void Remove(int32_t drug, SynthModel* model) {
  SynthClass& group = model->classes[model->drugs[drug].of_class];
  std::erase(group.drugs, drug);
  group.members &= ~(DrugBits{1} << drug);
  model->absent |= DrugBits{1} << drug;
  for (SynthDrug& other : model->drugs) {
    std::erase_if(other.partners, [&](const Weighted& partner) { return partner.first == drug; });
  }
}

void ShiftFormulary(const YamlNode& shift, SynthModel* model) {
  const auto remove = [&](const SynthDrug& drug, const YamlNode& at) {
    const auto index = static_cast<int32_t>(&drug - model->drugs.data());
    if (index == model->fallback_drug) {
      throw DataError(at.Place(), ": ", drug.name, " is the fallback drug and cannot be absent");
    }
    Remove(index, model);
  };
  for (const auto& [name, alternative] : shift["replaced"].Entries()) {
    SynthDrug& drug = Drug(model, name, alternative);
    SynthDrug& taken = Drug(model, alternative.As<std::string>(), alternative);
    if (drug.of_class != taken.of_class) {
      throw DataError(alternative.Place(), ": ", taken.name, " is not of the class of ", name);
    }
    taken.weight += drug.weight;
    remove(drug, alternative);
  }
  for (const YamlNode& name : shift["absent"].Items()) {
    remove(Drug(model, name.As<std::string>(), name), name);
  }
}

}  // namespace

std::string NameOf(SynthShift shift) {
  switch (shift) {
    case SynthShift::kPrevalence:
      return "prevalence";
    case SynthShift::kCoding:
      return "coding";
    case SynthShift::kPrescribing:
      return "prescribing";
    case SynthShift::kFormulary:
      return "formulary";
  }
  return "";
}

std::vector<SynthShift> ParseSynthShifts(const std::string& names) {
  std::vector<SynthShift> shifts;
  if (names.empty() || names == "none") return shifts;
  for (size_t at = 0; at <= names.size();) {
    const size_t end = std::min(names.find(',', at), names.size());
    const std::string name = names.substr(at, end - at);
    const auto shift = std::find_if(std::begin(kShifts), std::end(kShifts),
                                    [&](SynthShift known) { return NameOf(known) == name; });
    if (shift == std::end(kShifts) || std::count(shifts.begin(), shifts.end(), *shift) > 0) {
      throw UsageError("--shift has '", name, "'; expected none, or each once and separated by ",
                       "commas: prevalence, coding, prescribing, formulary");
    }
    shifts.push_back(*shift);
    at = end + 1;
  }
  std::sort(shifts.begin(), shifts.end());
  return shifts;
}

std::string ApplySynthShift(const std::filesystem::path& folder, SynthShift shift,
                            SynthModel* model) {
  const YamlNode stated = LoadYamlNode(folder / "shifts.yaml")[NameOf(shift)];
  switch (shift) {
    case SynthShift::kPrevalence:
      ShiftPrevalence(stated, model);
      break;
    case SynthShift::kCoding:
      ShiftCoding(stated, model);
      break;
    case SynthShift::kPrescribing:
      ShiftPrescribing(stated, model);
      break;
    case SynthShift::kFormulary:
      ShiftFormulary(stated, model);
      break;
  }
  return NameOf(shift) + ": " + stated["says"].As<std::string>();
}

}  // namespace flame
