#include "data/synth/model.h"

#include <map>

#include "base/error.h"
#include "data/synth/yaml_node.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using Names = std::map<std::string, int32_t>;

int32_t Find(const Names& names, const std::string& name, const YamlNode& at) {
  const auto found = names.find(name);
  if (found == names.end()) throw DataError(at.Place(), ": nothing is named '", name, "'");
  return found->second;
}

// Returns the map `key` of `node` with its names looked up; {} if absent.
std::vector<Weighted> Lookup(const YamlNode& node, const std::string& key, const Names& names) {
  std::vector<Weighted> result;
  if (!node.Has(key)) return result;
  for (const auto& [name, value] : node[key].Entries()) {
    result.emplace_back(Find(names, name, value), value.As<double>());
  }
  return result;
}

SynthCounts Counts(const YamlNode& node) {
  SynthCounts counts;
  for (const auto& [name, value] : node.Entries()) {
    counts.values.push_back(std::stoi(name));
    counts.weights.push_back(value.As<double>());
  }
  return counts;
}

Names LoadDrugs(const YamlNode& facts, SynthModel* model) {
  Names names;
  for (const YamlNode& row : facts["drugs"].Items()) {
    SynthDrug drug;
    drug.name = row["name"].As<std::string>();
    drug.drugbank = row["drugbank"].As<std::string>();
    drug.smiles = row["smiles"].As<std::string>();
    drug.ndc = row["ndc"].As<std::vector<std::string>>();
    names[drug.name] = static_cast<int32_t>(model->drugs.size());
    model->drugs.push_back(std::move(drug));
  }
  if (model->drugs.size() > kMaxSynthDrugs) {
    throw DataError(facts["drugs"].Place(), ": at most ", kMaxSynthDrugs, " drugs are possible, ",
                    model->drugs.size(), " found");
  }
  for (const YamlNode& row : facts["interactions"].Items()) {
    const auto cells = row.As<std::vector<std::string>>();
    if (cells.size() != 3) throw DataError(row.Place(), ": expected [drug, drug, sources]");
    const int32_t a = Find(names, cells[0], row), b = Find(names, cells[1], row);
    model->interactions.push_back({a, b, cells[2]});
    model->drugs[a].harmful |= DrugBits{1} << b;
    model->drugs[b].harmful |= DrugBits{1} << a;
  }
  return names;
}

Names LoadCodes(const YamlNode& facts, std::vector<SynthCode>* codes) {
  Names names;
  for (const YamlNode& row : facts.Items()) {
    SynthCode code;
    code.code = row["code"].As<std::string>();
    code.short_title = row["short"].As<std::string>();
    code.long_title = row["long"].As<std::string>();
    code.concise_title = row["concise"].As<std::string>();
    names[code.code] = static_cast<int32_t>(codes->size());
    codes->push_back(std::move(code));
  }
  return names;
}

Names LoadClasses(const YamlNode& rows, const Names& drugs, const Names& diagnoses,
                  SynthModel* model) {
  Names names;
  for (const YamlNode& row : rows.Items()) {
    SynthClass made;
    made.name = row["class"].As<std::string>();
    const auto index = static_cast<int32_t>(model->classes.size());
    for (const YamlNode& member : row["drugs"].Items()) {
      const int32_t id = Find(drugs, member["drug"].As<std::string>(), member);
      SynthDrug& drug = model->drugs[id];
      if (drug.of_class >= 0) throw DataError(member.Place(), ": ", drug.name, " has two classes");
      drug.of_class = index;
      drug.weight = member.Get("weight", 1.0);
      drug.older = member.Get("older", 1.0);
      drug.female = member.Get("female", 1.0);
      drug.with = Lookup(member, "with", diagnoses);
      drug.partners = Lookup(member, "partners", drugs);
      made.drugs.push_back(id);
      made.members |= DrugBits{1} << id;
    }
    for (const auto& other : row.Get("not_with", std::vector<std::string>{})) {
      made.not_with |= model->classes[Find(names, other, row)].members;
    }
    names[made.name] = index;
    model->classes.push_back(std::move(made));
  }
  for (const SynthDrug& drug : model->drugs) {
    if (drug.of_class < 0) throw DataError(rows.Place(), ": ", drug.name, " has no class");
  }
  return names;
}

void LoadCalls(const YamlNode& rows, const Names& names, const Names& classes,
               const Names& procedures, std::vector<SynthCode>* codes) {
  for (const YamlNode& row : rows.Items()) {
    SynthCode& code = (*codes)[Find(names, row["code"].As<std::string>(), row)];
    code.calls = Lookup(row, "calls", classes);
    code.words = row.Get("words", std::string());
    code.chronic = row.Get("kind", std::string()) == "chronic";
    code.weight = row.Get("weight", 1.0);
    code.sex = row.Get("sex", 'U');
    code.procedures = Lookup(row, "procedures", procedures);
  }
}

// Reads what other layouts write in place of MIMIC-III's codes.
void LoadLayouts(const YamlNode& root, const Names& drugs, const Names& diagnoses,
                 const Names& procedures, SynthModel* model) {
  const auto codes = [&](const char* key, const Names& names, std::vector<SynthCode>* codes) {
    for (const YamlNode& row : root[key].Items()) {
      SynthCode& code = (*codes)[Find(names, row["code"].As<std::string>(), row)];
      code.icd10 = row["icd10"].As<std::string>();
      code.icd10_title = row["long"].As<std::string>();
      code.path = row["path"].As<std::string>();
    }
  };
  codes("diagnoses", diagnoses, &model->diagnoses);
  codes("procedures", procedures, &model->procedures);
  for (const YamlNode& row : root["drugs"].Items()) {
    SynthDrug& drug = model->drugs[Find(drugs, row["name"].As<std::string>(), row)];
    drug.written = row["written"].As<std::vector<std::string>>();
    drug.synonym = row.Get("synonym", std::string());
  }
  for (const YamlNode& row : root["carriers"].Items()) {
    model->carriers.push_back({row["name"].As<std::string>(), row["drugbank"].As<std::string>(),
                               row["written"].As<std::vector<std::string>>()});
  }
}

// Throws DataError unless layouts.yaml has every code and drug.
void CheckLayouts(const YamlNode& root, const SynthModel& model) {
  for (const auto* codes : {&model.diagnoses, &model.procedures}) {
    for (const SynthCode& code : *codes) {
      if (code.icd10.empty()) throw DataError(root.Place(), ": code ", code.code, " is missing");
    }
  }
  for (const SynthDrug& drug : model.drugs) {
    if (drug.written.empty()) throw DataError(root.Place(), ": drug ", drug.name, " is missing");
  }
}

void LoadRates(const YamlNode& root, const Names& drugs, const Names& procedures,
               SynthModel* model) {
  const YamlNode patients = root["patients"], rules = root["prescribing"];
  model->admissions = Counts(patients["admissions"]);
  for (const int32_t count : model->admissions.values) {
    if (count < 1 || count > kMaxSynthAdmissions) {
      throw DataError(patients["admissions"].Place(), ": expected 1 to ", kMaxSynthAdmissions,
                      " admissions, found ", count);
    }
  }
  model->acute = Counts(patients["acute"]);
  model->home_drugs = Counts(patients["home_drugs"]);
  const auto pair = [&](const char* key, int32_t* low, int32_t* high) {
    const auto range = patients[key].As<std::vector<int32_t>>();
    if (range.size() != 2 || range[0] > range[1]) {
      throw DataError(patients[key].Place(), ": expected [low, high]");
    }
    *low = range[0];
    *high = range[1];
  };
  pair("age", &model->age_low, &model->age_high);
  pair("chronic", &model->chronic_low, &model->chronic_high);
  model->new_chronic = patients["new_chronic"].As<double>();
  model->recorded = patients["recorded"].As<double>();
  model->allergy = patients["allergy"].As<double>();
  model->new_allergy = patients["new_allergy"].As<double>();
  model->home_from_previous = patients["home_from_previous"].As<double>();
  model->max_procedures = patients["procedures"].As<int32_t>();
  model->fallback_procedure =
      Find(procedures, patients["fallback_procedure"].As<std::string>(), patients);
  model->home_need = rules["home_need"].As<double>();
  model->home_keep = rules["home_keep"].As<double>();
  model->previous_keep = rules["previous_keep"].As<double>();
  model->avoid = rules["avoid"].As<double>();
  model->older_age = rules["older"].As<int32_t>();
  model->fallback_drug = Find(drugs, rules["fallback_drug"].As<std::string>(), rules);
}

}  // namespace

SynthModel LoadSynthModel(const fs::path& folder) {
  const YamlNode facts = LoadYamlNode(folder / "facts.yaml"),
                 root = LoadYamlNode(folder / "model.yaml"),
                 layouts = LoadYamlNode(folder / "layouts.yaml");
  SynthModel model;
  const Names drugs = LoadDrugs(facts, &model);
  const Names diagnoses = LoadCodes(facts["diagnoses"], &model.diagnoses);
  const Names procedures = LoadCodes(facts["procedures"], &model.procedures);
  const Names classes = LoadClasses(root["classes"], drugs, diagnoses, &model);
  LoadCalls(root["diagnoses"], diagnoses, classes, procedures, &model.diagnoses);
  LoadCalls(root["procedures"], procedures, classes, procedures, &model.procedures);
  LoadRates(root, drugs, procedures, &model);
  LoadLayouts(layouts, drugs, diagnoses, procedures, &model);
  CheckLayouts(layouts, model);
  return model;
}

}  // namespace flame
