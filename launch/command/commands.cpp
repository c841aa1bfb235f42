#include <boost/program_options.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/hospitals/prepare.h"
#include "data/synth/synth.h"
#include "launch/command/command.h"
#include "launch/command/text.h"
#include "launch/run/evaluate.h"
#include "launch/run/export.h"
#include "launch/run/run_paths.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

int RunSynth(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("help,h", "this text")                                             //
      ("patients", po::value<int64_t>()->default_value(3000), "patients of the hospital")  //
      ("seed", po::value<int64_t>()->default_value(1), "same seed and size, same bytes")   //
      ("out", po::value<std::string>(), "folder to make")                                  //
      ("json", "the summary as JSON");
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(options).run(), values);
  } catch (const po::error& error) {
    throw UsageError(error.what(), "; see flame synth --help");
  }
  if (values.count("help") != 0) {
    std::cout << "flame synth --patients 3000 --seed 1 --out hospital\n\n"
                 "A synthetic hospital in MIMIC-III's layout, with known truth.\n\n"
              << options;
    return 0;
  }
  if (values.count("out") == 0) throw UsageError("--out is missing: the folder to make");
  const int64_t patients = values["patients"].as<int64_t>();
  const int64_t seed = values["seed"].as<int64_t>();
  if (seed < 0) throw UsageError("--seed is ", seed, "; expected at least 0");
  if (patients < 1) throw UsageError("--patients is ", patients, "; expected at least 1");
  const SynthSummary summary =
      WriteSynthHospital(values["out"].as<std::string>(), patients, static_cast<uint64_t>(seed));
  if (values.count("json") != 0) {
    std::cout << json{{"patients", summary.patients},
                      {"visits", summary.visits},
                      {"drugs", summary.drugs},
                      {"drugs_per_visit", summary.drugs_per_visit},
                      {"ddi_rate", summary.ddi_rate},
                      {"oracle_list", summary.oracle_list},
                      {"oracle_threshold", summary.oracle_threshold}}
              << "\n";
  } else {
    std::cout << summary.patients << " patients, " << summary.visits << " visits, " << summary.drugs
              << " drugs; " << summary.drugs_per_visit << " drugs a visit, DDI rate "
              << summary.ddi_rate << "\nexpected Jaccard: best list " << summary.oracle_list
              << ", every drug with P > 0.5 " << summary.oracle_threshold << "\n";
  }
  return 0;
}

int RunPrepare(const Arguments& arguments) {
  const ConfigArguments parsed = ParseConfigArguments(
      arguments,
      "flame prepare --config configs/mimic3-demo.yaml\n"
      "flame prepare data.root=mimic data.mappings=mappings --out corpus.h5\n\n"
      "Hospital tables to corpus.h5, tokenizer and starting model; with --out, corpus.h5 alone.\n",
      "", /*takes_out=*/true);
  if (parsed.help) return 0;
  if (!parsed.out.empty()) {
    WriteCorpus(PrepareCorpus(parsed.config.data), parsed.out);
    return 0;
  }
  RankSession session(parsed.config);
  session.RequireOneProcess("prepare");
  PrepareStage(parsed.config);
  return 0;
}

int RunSftCommand(const Arguments& arguments) {
  const ConfigArguments parsed = ParseConfigArguments(
      arguments,
      "flame sft classifier --config configs/quickstart.yaml\n"
      "mpirun -np 4 flame sft list --config configs/quickstart.yaml\n\n"
      "Supervised fine-tuning of the drug-level classifier or the list-wise policy.\n",
      "'classifier' or 'list'");
  if (parsed.help) return 0;
  if (parsed.word != "classifier" && parsed.word != "list") {
    throw UsageError("flame sft ", parsed.word, ": expected 'classifier' or 'list'");
  }
  RankSession session(parsed.config);
  if (parsed.word == "classifier") {
    ClassifierStage(parsed.config, session.world());
  } else {
    ListStage(parsed.config, session.world());
  }
  return 0;
}

int RunTasks(const Arguments& arguments) {
  // --feedback FILE is tasks.feedback=FILE.
  Arguments words;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--feedback" && i + 1 < arguments.size()) {
      words.push_back("tasks.feedback=" + arguments[++i]);
    } else {
      words.push_back(word.starts_with("--feedback=") ? "tasks." + word.substr(2) : word);
    }
  }
  const ConfigArguments parsed =
      ParseConfigArguments(words,
                           "flame tasks --config configs/quickstart.yaml\n"
                           "flame tasks --config configs/quickstart.yaml --feedback "
                           "decisions.jsonl\n\n"
                           "The classifier's errors, and add/remove tasks built from them.\n\n"
                           "  --feedback FILE   as tasks.feedback=FILE (docs/rewards.md)\n");
  if (parsed.help) return 0;
  RankSession session(parsed.config);
  session.RequireOneProcess("tasks");
  TasksStage(parsed.config);
  return 0;
}

int RunGrpoCommand(const Arguments& arguments) {
  const ConfigArguments parsed = ParseConfigArguments(
      arguments,
      "flame grpo --config configs/quickstart.yaml\n"
      "mpirun -np 4 flame grpo --config configs/quickstart.yaml cluster.learners=2 "
      "cluster.rollouts=1 cluster.rewards=1\n\n"
      "Step-wise GRPO of the list-wise policy.\n");
  if (parsed.help) return 0;
  RankSession session(parsed.config, /*logs=*/true, /*by_role=*/true);
  GrpoStage(parsed.config, session.world());
  return 0;
}

void PrintEvaluation(const Config& config, bool as_json) {
  const std::filesystem::path file = RunPaths(config.run.dir).evaluation();
  const json evaluation = json::parse(ReadWholeFile(file), nullptr, /*allow_exceptions=*/false);
  if (!evaluation.is_object()) {
    throw DataError(file.string(), ": expected a JSON object; delete the file to evaluate again");
  }
  std::cout << (as_json ? evaluation.dump() + "\n" : EvaluationTable(evaluation));
}

int RunEvaluate(const Arguments& arguments) {
  const ConfigArguments parsed =
      ParseConfigArguments(arguments,
                           "flame evaluate --config configs/quickstart.yaml --json\n\n"
                           "Every policy of a run on held-out visits.\n");
  if (parsed.help) return 0;
  RankSession session(parsed.config);
  session.RequireOneProcess("evaluate");
  EvaluateStage(parsed.config);
  TellTimes(parsed.config);
  PrintEvaluation(parsed.config, parsed.json);
  return 0;
}

int RunPipelineCommand(const Arguments& arguments) {
  const ConfigArguments parsed = ParseConfigArguments(
      arguments,
      "flame pipeline --config configs/quickstart.yaml run.dir=runs/mine\n\n"
      "Prepare, classifier, tasks, list SFT, step-wise GRPO, evaluation; stages whose inputs are\n"
      "unchanged are skipped, an interrupted training goes on from its last checkpoint.\n");
  if (parsed.help) return 0;
  RankSession session(parsed.config);
  session.RequireOneProcess("pipeline");
  RunPipeline(parsed.config);
  TellTimes(parsed.config);
  PrintEvaluation(parsed.config, parsed.json);
  return 0;
}

int RunExport(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("help,h", "this text")                                      //
      ("run", po::value<std::string>(), "run folder whose grpo/model is exported")  //
      ("model", po::value<std::string>(), "or: a model folder")                     //
      ("out", po::value<std::string>(), "folder to make");
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(options).run(), values);
  } catch (const po::error& error) {
    throw UsageError(error.what(), "; see flame export --help");
  }
  if (values.count("help") != 0) {
    std::cout << "flame export --run runs/quickstart --out exported\n\n"
                 "A Hugging Face directory: adapters merged, entity slots as tokens.\n\n"
              << options;
    return 0;
  }
  if (values.count("out") == 0) throw UsageError("--out is missing: the folder to make");
  if (values.count("run") + values.count("model") != 1) {
    throw UsageError("expected one of --run and --model");
  }
  const std::filesystem::path model = values.count("model") != 0
                                          ? std::filesystem::path(values["model"].as<std::string>())
                                          : RunPaths(values["run"].as<std::string>()).grpo();
  ExportPolicy(model, values["out"].as<std::string>());
  return 0;
}

}  // namespace

const std::vector<Command>& Commands() {
  static const std::vector<Command> commands = {
      {"pipeline", "the whole road, from tables to an evaluated policy", RunPipelineCommand},
      {"synth", "make a synthetic hospital with known truth", RunSynth},
      {"prepare", "hospital tables to corpus, tokenizer and starting model", RunPrepare},
      {"sft", "fine-tune the classifier or the list policy", RunSftCommand},
      {"tasks", "list tasks from the classifier's errors", RunTasks},
      {"grpo", "step-wise GRPO of the list policy", RunGrpoCommand},
      {"evaluate", "every policy of a run on held-out visits", RunEvaluate},
      {"sweep", "many trials of a config, shared by workers, and their report", RunSweep},
      {"export", "a Hugging Face directory for serving", RunExport},
      {"launch", "a Slurm job for a config: written, submitted, watched", RunLaunch},
      {"plan", "memory and time of a training, before it is started", RunPlan},
      {"doctor", "is this allocation fit for a run, on every rank", RunDoctor},
      {"replay", "GRPO again, from recorded shards alone", RunReplay},
      {"inspect", "what a corpus, a shard or a stage's checkpoints hold", RunInspect},
      {"tokenize", "JSON lines: text to token ids", RunTokenize},
      {"generate", "JSON lines: prompt to completion", RunGenerate},
      {"score", "JSON lines: log-probabilities of a family", RunScore},
  };
  return commands;
}

}  // namespace flame
