#include "launch/export/model_card.h"

#include <cstdio>
#include <sstream>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The licence in the head of the base's card; "" if there is none.
std::string LicenceOf(const fs::path& base) {
  if (base.empty() || !fs::is_regular_file(base / "README.md")) return "";
  std::istringstream lines(ReadWholeFile(base / "README.md"));
  std::string line;
  if (!std::getline(lines, line) || line != "---") return "";
  const std::string key = "license: ";
  while (std::getline(lines, line) && line != "---") {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return "";
}

std::string Number(const json& value) {
  if (!value.is_number()) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value.get<double>());
  return text;
}

const json* RowOf(const json& evaluation, const std::string& policy) {
  for (const json& row : evaluation.at("rows")) {
    if (row.at("policy") == policy) return &row;
  }
  return nullptr;
}

// The results of `policy` as the hub reads them.
std::string ModelIndex(const json& evaluation, const std::string& policy) {
  const json* row = RowOf(evaluation, policy);
  if (row == nullptr) return "";
  std::string text = StrCat(
      "model-index:\n- name: flame-", policy, "\n  results:\n  - task:\n      type: ",
      "text-generation\n      name: medication recommendation\n    dataset:\n      name: ",
      evaluation.at("hospital").get<std::string>(), ", ", evaluation.at("num_visits").dump(), " ",
      evaluation.at("split").get<std::string>(),
      " visits\n      type: ", evaluation.at("hospital").get<std::string>(), "\n    metrics:\n");
  for (const char* metric : {"jaccard", "f1", "prauc", "ddi", "drugs"}) {
    const std::string value = Number(row->at(metric));
    if (value.empty()) continue;
    text += StrCat("    - type: ", metric, "\n      value: ", value, "\n");
  }
  return text;
}

std::string Table(const json& evaluation) {
  std::string text =
      StrCat("## Results\n\n", evaluation.at("num_visits").dump(), " ",
             evaluation.at("split").get<std::string>(), " visits of the hospital `",
             evaluation.at("hospital").get<std::string>(), "`; 95 % intervals over patients.\n\n",
             "| policy | Jaccard | interval | F1 | PRAUC | DDI rate | drugs |\n",
             "| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const json& row : evaluation.at("rows")) {
    text += StrCat("| ", row.at("policy").get<std::string>(), " | ", Number(row.at("jaccard")),
                   " | ", Number(row.at("jaccard_ci")[0]), " to ", Number(row.at("jaccard_ci")[1]));
    for (const char* metric : {"f1", "prauc", "ddi", "drugs"}) {
      text += " | " + Number(row.at(metric));
    }
    text += " |\n";
  }
  return text + "\n";
}

}  // namespace

std::string ModelCard(const CardFacts& facts) {
  const std::string policy = facts.classifier ? "classifier-calibrated" : "list-grpo";
  const std::string licence = LicenceOf(facts.base);
  // "models/llama/" has an empty last part.
  const std::string base = (facts.base / "").parent_path().filename().string();
  std::string text = StrCat("---\nlibrary_name: ", facts.adapter ? "peft" : "transformers",
                            "\npipeline_tag: text-generation\n");
  if (!facts.base.empty()) text += "base_model: " + base + "\n";
  text += "license: " + (licence.empty() ? "other" : licence) + "\n";
  text += "tags:\n- medication-recommendation\n- research-only\n";
  if (!facts.evaluation.is_null()) text += ModelIndex(facts.evaluation, policy);
  text += "---\n\n# A model that recommends drugs\n\n";
  text += "**Research software: it must not be used to treat patients.**\n\n";
  if (facts.adapter) text += "A LoRA adapter, in peft's format. ";
  text += facts.classifier
              ? "The drug-level classifier: it reads a patient and one candidate drug, and answers "
                "Yes or No. "
              : "The list policy: it reads a patient and a list of drugs, and writes the drugs to "
                "add or to remove, one name a line. ";
  text +=
      StrCat("Trained by `flame` from ", facts.base.empty() ? "random weights" : "`" + base + "`",
             "; weights in ", facts.dtype, ".\n\n");
  text +=
      "## Use\n\n"
      "Prompts are plain text, as `flame inspect CORPUS --visit HADM_ID` shows them; the chat "
      "template adds nothing but the token that begins a text. Slots (`<DrugEmb-7>`) are input "
      "alone.\n\n";
  if (facts.grammars) {
    text += "`drugs.gbnf` and `drugs.regex` keep a server's lists to known drugs.\n\n";
  }
  if (facts.patient_slot) {
    text +=
        "The model was trained with a vector of the visit. A server does not have it: leave "
        "`<VisitEmb>` and the separator behind it out.\n\n";
  }
  if (!facts.evaluation.is_null()) text += Table(facts.evaluation);
  text +=
      "## Limits\n\n"
      "The model repeats what physicians of one hospital prescribed, with their errors. It "
      "has seen no other hospital, no dose and no time of a drug, and was checked by no "
      "clinical trial.\n";
  return text;
}

}  // namespace flame
