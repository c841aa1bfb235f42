#include "data/prompts/texts.h"

#include <yaml-cpp/yaml.h>

#include <cctype>

#include "base/error.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

const std::vector<std::string> kVisitPlaceholders = {"age",
                                                     "gender",
                                                     "diagnoses",
                                                     "diagnosis_names",
                                                     "procedures",
                                                     "procedure_names",
                                                     "note",
                                                     "note_allergies",
                                                     "note_medications",
                                                     "note_history"};

// The YAML file as a flat map from names such as "list.add" to texts. Text() takes a text out, so
// that the unknown ones remain.
class TemplateFile {
 public:
  explicit TemplateFile(const std::filesystem::path& path) : path_(path.string()) {
    try {
      Flatten(YAML::LoadFile(path_), "");
    } catch (const YAML::BadFile&) {
      throw DataError(path_, ": cannot be read; expected a file of prompt templates");
    } catch (const YAML::Exception& error) {
      throw DataError(path_, ": not YAML: ", error.what());
    }
  }

  std::string Text(const std::string& key) {
    const auto found = texts_.find(key);
    if (found == texts_.end()) throw DataError(path_, ": no template '", key, "'");
    return texts_.extract(found).mapped();
  }

  PromptTemplate Template(const std::string& key, const std::vector<std::string>& needed,
                          const std::vector<std::string>& allowed) {
    return PromptTemplate(Text(key), needed, allowed, path_ + ": template '" + key + "'");
  }

  // Returns a template that begins a piece, which must not begin with white space.
  PromptTemplate Piece(const std::string& key, const std::vector<std::string>& needed,
                       const std::vector<std::string>& allowed) {
    CheckBeginning(key);
    return Template(key, needed, allowed);
  }

  std::string Answer(const std::string& key) {
    CheckBeginning(key);
    return Text(key);
  }

  void CheckAllAsked() const {
    if (texts_.empty()) return;
    throw DataError(path_, ": unknown template '", texts_.begin()->first, "'");
  }

  const std::string& path() const { return path_; }

 private:
  void CheckBeginning(const std::string& key) const {
    const auto found = texts_.find(key);
    if (found == texts_.end()) return;  // Text() reports it
    if (found->second.empty() || std::isspace(static_cast<unsigned char>(found->second[0]))) {
      throw DataError(path_, ": '", key,
                      "' is empty or begins with white space, which a tokenizer "
                      "may join to the line break before it; expected other text first");
    }
  }

  void Flatten(const YAML::Node& node, const std::string& name) {
    if (!node.IsMap()) {
      if (!node.IsScalar()) throw DataError(path_, ": '", name, "' is neither text nor a section");
      texts_[name] = node.Scalar();
      return;
    }
    for (const auto& entry : node) {
      Flatten(entry.second, (name.empty() ? "" : name + ".") + entry.first.Scalar());
    }
  }

  std::string path_;
  std::map<std::string, std::string> texts_;
};

const Vocabulary& VocabularyOf(const Corpus& corpus, EntityKind kind) {
  if (kind == EntityKind::kDiagnosis) return corpus.diagnoses;
  return kind == EntityKind::kProcedure ? corpus.procedures : corpus.drugs;
}

std::string WithoutBreak(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

std::string EndedByBreak(std::string text) { return WithoutBreak(std::move(text)) + '\n'; }

std::string HistoryOf(const std::string& note) {
  const std::string present = NoteSection(note, kHistorySection);
  const std::string past = NoteSection(note, kPastHistorySection);
  return present + (present.empty() || past.empty() ? "" : " ") + past;
}

}  // namespace

PromptTexts::PromptTexts(const std::filesystem::path& templates, const Corpus& corpus,
                         const EntityTokens& entities)
    : corpus_(corpus), entities_(entities), mentions_(corpus.drugs.titles) {
  TemplateFile file(templates);
  entity_ = file.Template("entity", {"name"}, {"slot"});
  separator_ = file.Text("separator");
  std::vector<std::string> with_drugs = kVisitPlaceholders;
  with_drugs.insert(with_drugs.end(), {"drugs", "drug_names"});
  visit_ = file.Template("visit", {}, kVisitPlaceholders);
  visit_without_note_ = file.Template("visit_without_note", {}, kVisitPlaceholders);
  previous_ = file.Template("previous", {}, with_drugs);
  // A template that has no place for the patient's slot would drop it in silence.
  const bool with_patient = entities.visit >= 0;
  std::vector<std::string> needed = {"visit"}, allowed = {"previous"};
  (with_patient ? needed : allowed).emplace_back("patient");
  classifier_trunk_ = file.Piece("classifier.trunk", needed, allowed);
  candidate_ = file.Piece("classifier.candidate", {"name"}, {"slot"});
  yes_ = file.Answer("classifier.yes");
  no_ = file.Answer("classifier.no");
  list_trunk_ = file.Piece("list.trunk", needed, allowed);
  add_ = file.Piece("list.add", {"drugs"}, {});
  remove_ = file.Piece("list.remove", {"drugs"}, {});
  file.CheckAllAsked();
}

std::string PromptTexts::Slot(EntityKind kind, int32_t index) const {
  const int k = static_cast<int>(kind);
  return entities_.first[k] < 0 || index >= entities_.count[k] ? "" : EntityToken(kind, index);
}

std::string PromptTexts::Entities(EntityKind kind, const std::vector<int32_t>& indices, Style style,
                                  const std::string& separator) const {
  const Vocabulary& vocabulary = VocabularyOf(corpus_, kind);
  std::string text;
  for (int32_t index : indices) {
    if (!text.empty()) text += separator;
    const std::string& name = vocabulary.titles[index];
    text += style == Style::kName ? name
                                  : entity_.Render({{"name", name}, {"slot", Slot(kind, index)}});
  }
  return text;
}

std::string PromptTexts::Linked(const std::string& section) const {
  return mentions_.Linked(section, [&](int32_t drug, const std::string& name) {
    return entity_.Render({{"name", name}, {"slot", Slot(EntityKind::kDrug, drug)}});
  });
}

PromptTexts::Values PromptTexts::VisitValues(const Visit& visit, bool with_drugs) const {
  const auto list = [&](EntityKind kind, const std::vector<int32_t>& indices, Style style) {
    return Entities(kind, indices, style, separator_);
  };
  Values values = {
      {"age", std::to_string(visit.age)},
      {"gender", std::string(1, visit.gender)},
      {"diagnoses", list(EntityKind::kDiagnosis, visit.diagnoses, Style::kEntity)},
      {"diagnosis_names", list(EntityKind::kDiagnosis, visit.diagnoses, Style::kName)},
      {"procedures", list(EntityKind::kProcedure, visit.procedures, Style::kEntity)},
      {"procedure_names", list(EntityKind::kProcedure, visit.procedures, Style::kName)},
      {"note", visit.note},
      {"note_allergies", Linked(NoteSection(visit.note, kAllergiesSection))},
      {"note_medications", Linked(NoteSection(visit.note, kMedicationsSection))},
      {"note_history", HistoryOf(visit.note)}};
  if (with_drugs) {
    values["drugs"] = list(EntityKind::kDrug, visit.drugs, Style::kEntity);
    values["drug_names"] = list(EntityKind::kDrug, visit.drugs, Style::kName);
  }
  return values;
}

PromptTexts::Values PromptTexts::TrunkValues(int32_t index) const {
  const Visit& visit = corpus_.visits[index];
  const PromptTemplate& current = visit.note.empty() ? visit_without_note_ : visit_;
  Values values = {{"visit", WithoutBreak(current.Render(VisitValues(visit, false)))},
                   {"previous", ""},
                   {"patient", entities_.visit < 0 ? "" : kVisitToken + separator_}};
  if (visit.previous >= 0) {
    const Values before = VisitValues(corpus_.visits[visit.previous], true);
    values["previous"] = WithoutBreak(previous_.Render(before));
  }
  return values;
}

std::string PromptTexts::ClassifierTrunk(int32_t visit) const {
  return EndedByBreak(classifier_trunk_.Render(TrunkValues(visit)));
}

std::string PromptTexts::Candidate(int32_t drug) const {
  const std::string slot = Slot(EntityKind::kDrug, drug);
  const std::string text =
      WithoutBreak(candidate_.Render({{"name", corpus_.drugs.titles[drug]}, {"slot", slot}}));
  // A slot needs no line break after it: it is a token of its own, which nothing joins.
  const bool ends_in_slot = !slot.empty() && text.ends_with(slot);
  return ends_in_slot ? text : EndedByBreak(text);
}

bool PromptTexts::EndsInSlot(int32_t drug) const { return !Candidate(drug).ends_with('\n'); }

std::string PromptTexts::ListTrunk(int32_t visit) const {
  return EndedByBreak(list_trunk_.Render(TrunkValues(visit)));
}

std::string PromptTexts::Question(const std::vector<int32_t>& drugs, Edit edit) const {
  const PromptTemplate& question = edit == Edit::kAdd ? add_ : remove_;
  return EndedByBreak(
      question.Render({{"drugs", Entities(EntityKind::kDrug, drugs, Style::kEntity, "\n")}}));
}

std::string PromptTexts::Answer(const std::vector<int32_t>& drugs) const {
  std::string text;
  for (int32_t drug : drugs) text += corpus_.drugs.titles[drug] + '\n';
  return text;
}

}  // namespace flame
