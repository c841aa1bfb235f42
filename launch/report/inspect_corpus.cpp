#include "launch/report/inspect_corpus.h"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/error.h"
#include "data/audit.h"
#include "data/hospitals/split.h"
#include "data/prompts/texts.h"
#include "launch/config/config.h"
#include "launch/config/stage_inputs.h"

namespace flame {
namespace {

using nlohmann::ordered_json;

std::vector<std::string> TextsOf(const std::vector<std::string>& texts,
                                 const std::vector<int32_t>& ids) {
  std::vector<std::string> chosen;
  for (const int32_t id : ids) chosen.push_back(texts[id]);
  return chosen;
}

double GraphDensity(const DdiGraph& ddi) {
  const int32_t n = ddi.num_drugs();
  int64_t harmful = 0;
  for (int32_t a = 0; a < n; ++a) {
    for (int32_t b = a + 1; b < n; ++b) harmful += ddi.Harmful(a, b);
  }
  return n < 2 ? 0 : static_cast<double>(harmful) / (0.5 * n * (n - 1));
}

ordered_json Summary(const Corpus& corpus) {
  double drugs = 0, ddi = 0, pairs = 0, harmful = 0;
  for (const Visit& visit : corpus.visits) {
    const auto n = static_cast<double>(visit.drugs.size());
    const double rate = corpus.ddi.Rate(visit.drugs);
    drugs += n;
    ddi += rate;
    pairs += n * (n - 1) / 2;
    harmful += rate * n * (n - 1) / 2;
  }
  const auto count = static_cast<double>(std::max<size_t>(corpus.visits.size(), 1));
  return {{"hospital", corpus.hospital},
          {"num_patients", corpus.num_patients},
          {"num_visits", corpus.visits.size()},
          {"num_drugs", corpus.drugs.size()},
          {"num_diagnoses", corpus.diagnoses.size()},
          {"num_procedures", corpus.procedures.size()},
          {"drugs_per_visit", drugs / count},
          {"ddi_rate", ddi / count},
          {"ddi_rate_pooled", pairs > 0 ? harmful / pairs : 0},
          {"ddi_graph_density", GraphDensity(corpus.ddi)}};
}

ordered_json FunnelJson(const std::vector<FunnelStep>& funnel) {
  ordered_json steps = ordered_json::array();
  for (const FunnelStep& step : funnel) {
    ordered_json entry = {{"table", step.table}, {"rule", step.rule}, {"rows", step.rows}};
    if (step.visits >= 0) {
      entry["visits"] = step.visits;
      entry["patients"] = step.patients;
    }
    if (!step.detail.empty()) entry["detail"] = step.detail;
    steps.push_back(entry);
  }
  return steps;
}

ordered_json CoverageJson(const std::vector<Coverage>& coverage) {
  ordered_json all = ordered_json::array();
  for (const Coverage& each : coverage) {
    all.push_back({{"of", each.of},
                   {"total", each.total},
                   {"matched", each.matched},
                   {"repaired", each.repaired},
                   {"misses", each.misses}});
  }
  return all;
}

void PrintStep(const FunnelStep& step, int64_t before, int width, std::ostream& out) {
  out << "  " << std::left << std::setw(width) << step.rule << std::right << std::setw(12)
      << step.rows << std::setw(12);
  if (before < 0) {
    out << "";
  } else {
    out << std::showpos << step.rows - before << std::noshowpos;
  }
  if (step.visits >= 0) out << std::setw(10) << step.visits << std::setw(10) << step.patients;
  out << "\n";
  if (!step.detail.empty()) out << "    " << step.detail << "\n";
}

void PrintFunnel(const std::vector<FunnelStep>& funnel, std::ostream& out) {
  size_t width = 0;
  std::vector<std::string> tables;
  for (const FunnelStep& step : funnel) {
    width = std::max(width, step.rule.size());
    if (std::find(tables.begin(), tables.end(), step.table) == tables.end()) {
      tables.push_back(step.table);
    }
  }
  const int columns = static_cast<int>(width);
  for (const std::string& table : tables) {
    out << "\n"
        << std::left << std::setw(columns + 2) << table << std::right << std::setw(12)
        << "rows left" << std::setw(12) << "change" << std::setw(10) << "visits" << std::setw(10)
        << "patients"
        << "\n";
    int64_t before = -1;
    for (const FunnelStep& step : funnel) {
      if (step.table != table) continue;
      PrintStep(step, before, columns, out);
      before = step.rows;
    }
  }
}

void PrintCoverage(const std::vector<Coverage>& coverage, std::ostream& out) {
  out << "\nmappings\n";
  for (const Coverage& each : coverage) {
    out << "  " << each.of << ": " << each.matched << " of " << each.total;
    if (each.repaired > 0) out << ", " << each.repaired << " repaired";
    if (!each.misses.empty()) out << "; commonest without: " << each.misses;
    out << "\n";
  }
}

std::string Percent(int64_t part, int64_t whole) {
  if (whole == 0) return "-";
  char text[16];
  std::snprintf(text, sizeof(text), "%.1f %%",
                100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

ordered_json LeaksJson(const Corpus& corpus, const LeakAudit& audit) {
  ordered_json parts = ordered_json::array(), mentions = ordered_json::array(),
               leaks = ordered_json::array();
  for (const MentionCount& part : audit.parts) {
    parts.push_back({{"part", part.part},
                     {"visits", part.visits},
                     {"visits_with_true", part.visits_with_true},
                     {"named", part.named},
                     {"named_true", part.named_true}});
  }
  for (const Mention& mention : audit.mentions) {
    mentions.push_back({{"hadm", corpus.visits[mention.visit].hadm},
                        {"part", mention.part},
                        {"drug", corpus.drugs.codes[mention.drug]}});
  }
  for (const Leak& leak : audit.leaks) {
    leaks.push_back(
        {{"hadm", corpus.visits[leak.visit].hadm}, {"kind", leak.kind}, {"text", leak.text}});
  }
  return {
      {"true_drugs", audit.true_drugs}, {"parts", parts}, {"leaks", leaks}, {"mentions", mentions}};
}

int32_t VisitOf(const Corpus& corpus, int64_t hadm) {
  for (size_t i = 0; i < corpus.visits.size(); ++i) {
    if (corpus.visits[i].hadm == hadm) return static_cast<int32_t>(i);
  }
  throw UsageError("the corpus has no visit of HADM_ID ", hadm,
                   "; `flame inspect FILE --visits` lists them");
}

Config ConfigBeside(const std::filesystem::path& corpus) {
  const std::filesystem::path config = corpus.parent_path() / "config.yaml";
  return std::filesystem::exists(config) ? LoadConfig(config, {})
                                         : LoadConfig({}, {"data.hospital=synth"});
}

// The slots that a run of this config has.
EntityTokens SlotsOf(const Config& config, const Corpus& corpus) {
  EntityTokens slots;
  const auto set = [&](EntityKind kind, const std::string& encoder, int32_t count) {
    if (encoder == "none") return;
    slots.first[static_cast<int>(kind)] = 0;
    slots.count[static_cast<int>(kind)] = count;
  };
  set(EntityKind::kDiagnosis, config.encoders.diagnosis, corpus.diagnoses.num_slots());
  set(EntityKind::kProcedure, config.encoders.procedure, corpus.procedures.num_slots());
  set(EntityKind::kDrug, config.encoders.drug, corpus.drugs.size());
  slots.visit = config.encoders.patient == "none" ? -1 : 0;
  return slots;
}

void PrintList(const char* title, const Vocabulary& vocabulary, const std::vector<int32_t>& ids,
               std::ostream& out) {
  out << title << "\n";
  for (const int32_t id : ids) {
    out << "  " << vocabulary.codes[id] << "  " << vocabulary.titles[id] << "\n";
  }
}

}  // namespace

void PrintCorpus(const Corpus& corpus, bool as_json, std::ostream& out) {
  ordered_json summary = Summary(corpus);
  if (as_json) {
    summary["coverage"] = CoverageJson(corpus.coverage);
    summary["funnel"] = FunnelJson(corpus.funnel);
    out << summary << "\n";
    return;
  }
  for (const auto& [name, value] : summary.items()) out << name << " " << value << "\n";
  PrintCoverage(corpus.coverage, out);
  PrintFunnel(corpus.funnel, out);
}

void PrintVisits(const Corpus& corpus, std::ostream& out) {
  for (const Visit& visit : corpus.visits) {
    out << ordered_json{{"subject", visit.subject},
                        {"hadm", visit.hadm},
                        {"year", visit.year},
                        {"split", NameOf(visit.split)},
                        {"diagnoses", TextsOf(corpus.diagnoses.codes, visit.diagnoses)},
                        {"procedures", TextsOf(corpus.procedures.codes, visit.procedures)},
                        {"drugs", TextsOf(corpus.drugs.codes, visit.drugs)}}
        << "\n";
  }
}

void PrintLeaks(const Corpus& corpus, bool as_json, std::ostream& out) {
  const LeakAudit audit = AuditLeaks(corpus);
  if (as_json) {
    out << LeaksJson(corpus, audit) << "\n";
    return;
  }
  out << std::left << std::setw(30) << "part of the prompt" << std::right << std::setw(9)
      << "visits" << std::setw(12) << "drugs named" << std::setw(11) << "of these" << std::setw(14)
      << "of all true"
      << "\n"
      << std::setw(62) << "true" << std::setw(14) << "drugs"
      << "\n";
  for (const MentionCount& part : audit.parts) {
    out << std::left << std::setw(30) << part.part << std::right << std::setw(9) << part.visits
        << std::setw(12) << part.named << std::setw(11) << Percent(part.named_true, part.named)
        << std::setw(14) << Percent(part.named_true, audit.true_drugs) << "\n";
  }
  out << "\nWhat was known at admission may name true drugs. Diagnosis and procedure codes are\n"
         "assigned after discharge (docs/hospitals.md).\n\n"
      << audit.leaks.size() << " leaks: parts of a prompt that were not known at admission\n";
  for (const Leak& leak : audit.leaks) {
    out << "  HADM_ID " << corpus.visits[leak.visit].hadm << ": " << leak.kind << ": " << leak.text
        << "\n";
  }
}

void PrintVisit(const Corpus& corpus, const std::filesystem::path& file, int64_t hadm,
                std::ostream& out) {
  const int32_t index = VisitOf(corpus, hadm);
  const Visit& visit = corpus.visits[index];
  const Config config = ConfigBeside(file);
  const PromptTexts texts(PromptFile(config), corpus, SlotsOf(config, corpus));
  out << "SUBJECT_ID " << visit.subject << ", HADM_ID " << hadm << ", " << NameOf(visit.split)
      << ", age " << visit.age << ", " << visit.gender;
  if (visit.year > 0) out << ", year " << visit.year;
  if (visit.previous >= 0) out << ", previous HADM_ID " << corpus.visits[visit.previous].hadm;
  out << "\n";
  PrintList("diagnoses", corpus.diagnoses, visit.diagnoses, out);
  PrintList("procedures", corpus.procedures, visit.procedures, out);
  PrintList("true drugs (never in the prompt)", corpus.drugs, visit.drugs, out);
  out << "\nclassifier's prompt, then the first candidate\n-----\n"
      << texts.ClassifierTrunk(index) << texts.Candidate(0)
      << "\n-----\n\nlist policy's prompt, with an empty list to add to\n-----\n"
      << texts.ListTrunk(index) << texts.Question({}, Edit::kAdd) << "-----\n";
}

}  // namespace flame
