#include "data/synth/model.h"

#include <yaml-cpp/yaml.h>

#include <map>

#include "base/error.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using Names = std::map<std::string, int32_t>;

// A node of a YAML file whose errors name its place.
class Node {
 public:
  Node(const YAML::Node& node, std::string where) : node_(node), where_(std::move(where)) {}

  bool Has(const std::string& key) const { return node_[key].IsDefined(); }
  Node operator[](const std::string& key) const {
    if (!node_.IsMap() || !Has(key)) throw DataError(Place(), ": expected the key '", key, "'");
    return Node(node_[key], where_ + "." + key);
  }
  template <class T>
  T As() const {
    try {
      return node_.as<T>();
    } catch (const YAML::Exception&) {
      throw DataError(Place(), ": a value of another kind was expected");
    }
  }
  template <class T>
  T Get(const std::string& key, T otherwise) const {
    return Has(key) ? (*this)[key].As<T>() : otherwise;
  }
  std::vector<Node> Items() const {
    if (!node_.IsSequence()) throw DataError(Place(), ": expected a list");
    std::vector<Node> items;
    for (const auto& item : node_) items.emplace_back(item, where_);
    return items;
  }
  // Returns (name, value) of a map, in the file's order.
  std::vector<std::pair<std::string, Node>> Entries() const {
    if (!node_.IsMap()) throw DataError(Place(), ": expected a map");
    std::vector<std::pair<std::string, Node>> entries;
    for (const auto& entry : node_) {
      entries.emplace_back(entry.first.as<std::string>(), Node(entry.second, where_));
    }
    return entries;
  }
  std::string Place() const { return StrCat(where_, " (line ", node_.Mark().line + 1, ")"); }

 private:
  YAML::Node node_;
  std::string where_;
};

Node LoadYaml(const fs::path& path) {
  try {
    return Node(YAML::LoadFile(path.string()), path.string() + ": ");
  } catch (const YAML::Exception& error) {
    throw DataError(path.string(), ": not readable as YAML: ", error.what());
  }
}

int32_t Find(const Names& names, const std::string& name, const Node& at) {
  const auto found = names.find(name);
  if (found == names.end()) throw DataError(at.Place(), ": nothing is named '", name, "'");
  return found->second;
}

// Returns the map `key` of `node` with its names looked up; {} if absent.
std::vector<Weighted> Lookup(const Node& node, const std::string& key, const Names& names) {
  std::vector<Weighted> result;
  if (!node.Has(key)) return result;
  for (const auto& [name, value] : node[key].Entries()) {
    result.emplace_back(Find(names, name, value), value.As<double>());
  }
  return result;
}

SynthCounts Counts(const Node& node) {
  SynthCounts counts;
  for (const auto& [name, value] : node.Entries()) {
    counts.values.push_back(std::stoi(name));
    counts.weights.push_back(value.As<double>());
  }
  return counts;
}

Names LoadDrugs(const Node& facts, SynthModel* model) {
  Names names;
  for (const Node& row : facts["drugs"].Items()) {
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
  for (const Node& row : facts["interactions"].Items()) {
    const auto cells = row.As<std::vector<std::string>>();
    if (cells.size() != 3) throw DataError(row.Place(), ": expected [drug, drug, sources]");
    const int32_t a = Find(names, cells[0], row), b = Find(names, cells[1], row);
    model->interactions.push_back({a, b, cells[2]});
    model->drugs[a].harmful |= DrugBits{1} << b;
    model->drugs[b].harmful |= DrugBits{1} << a;
  }
  return names;
}

Names LoadCodes(const Node& facts, std::vector<SynthCode>* codes) {
  Names names;
  for (const Node& row : facts.Items()) {
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

Names LoadClasses(const Node& rows, const Names& drugs, const Names& diagnoses, SynthModel* model) {
  Names names;
  for (const Node& row : rows.Items()) {
    SynthClass made;
    made.name = row["class"].As<std::string>();
    const auto index = static_cast<int32_t>(model->classes.size());
    for (const Node& member : row["drugs"].Items()) {
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

void LoadCalls(const Node& rows, const Names& names, const Names& classes, const Names& procedures,
               std::vector<SynthCode>* codes) {
  for (const Node& row : rows.Items()) {
    SynthCode& code = (*codes)[Find(names, row["code"].As<std::string>(), row)];
    code.calls = Lookup(row, "calls", classes);
    code.words = row.Get("words", std::string());
    code.chronic = row.Get("kind", std::string()) == "chronic";
    code.weight = row.Get("weight", 1.0);
    code.sex = row.Get("sex", 'U');
    code.procedures = Lookup(row, "procedures", procedures);
  }
}

void LoadRates(const Node& root, const Names& drugs, const Names& procedures, SynthModel* model) {
  const Node patients = root["patients"], rules = root["prescribing"];
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
  const Node facts = LoadYaml(folder / "facts.yaml"), root = LoadYaml(folder / "model.yaml");
  SynthModel model;
  const Names drugs = LoadDrugs(facts, &model);
  const Names diagnoses = LoadCodes(facts["diagnoses"], &model.diagnoses);
  const Names procedures = LoadCodes(facts["procedures"], &model.procedures);
  const Names classes = LoadClasses(root["classes"], drugs, diagnoses, &model);
  LoadCalls(root["diagnoses"], diagnoses, classes, procedures, &model.diagnoses);
  LoadCalls(root["procedures"], procedures, classes, procedures, &model.procedures);
  LoadRates(root, drugs, procedures, &model);
  return model;
}

}  // namespace flame
