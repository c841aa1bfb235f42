#include "data/synth/text.h"

#include <bit>
#include <cctype>
#include <vector>

#include "base/error.h"

namespace flame {
namespace {

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string OrNone(const std::string& text, const std::string& none) {
  return text.empty() ? none : text;
}

// Returns two chronic conditions at most, so that prompts stay short; the codes hold all of them.
std::string History(const SynthModel& model, const SynthVisit& visit) {
  std::vector<std::string> words;
  for (const int32_t code : visit.facts.diagnoses) {
    if (model.diagnoses[code].chronic && words.size() < 2) {
      words.push_back(model.diagnoses[code].words);
    }
  }
  return Join(words);
}

}  // namespace

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += c;
    quoted += c;
  }
  return quoted + "\"";
}

std::string Plain(const std::string& text) {
  return text.find_first_of(",\"\n") == std::string::npos ? text : Quoted(text);
}

std::string UpperCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string DrugNames(const SynthModel& model, DrugBits drugs) {
  std::vector<std::string> names;
  for (; drugs; drugs &= drugs - 1) names.push_back(model.drugs[std::countr_zero(drugs)].name);
  return Join(names);
}

std::string SynthNote(const SynthModel& model, const SynthVisit& visit) {
  const SynthFacts& facts = visit.facts;
  const std::string& reason = model.diagnoses[visit.main_diagnosis].words;
  std::string text = StrCat(
      "History of Present Illness:\n", facts.age, " year old ",
      facts.gender == 'F' ? "woman" : "man", " with ", reason, ".\n\nPast Medical History:\n",
      OrNone(History(model, visit), "None"), ".\n\nAllergies:\n",
      OrNone(DrugNames(model, facts.allergies), "None known"), ".\n\nMedications on Admission:\n",
      OrNone(DrugNames(model, facts.home), "None"), ".\n\nDischarge Medications:\n");
  int32_t number = 0;
  for (DrugBits left = visit.drugs; left; left &= left - 1) {
    text += StrCat(++number, ". ", model.drugs[std::countr_zero(left)].name, "\n");
  }
  return text + StrCat("\nDischarge Disposition:\nHome\n\nDischarge Diagnosis:\n", reason, ".\n");
}

}  // namespace flame
