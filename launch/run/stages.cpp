#include "launch/run/stages.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/feedback.h"
#include "data/hospitals/prepare.h"
#include "data/synth/synth.h"
#include "launch/config/input_digests.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"
#include "launch/run/base_model.h"
#include "launch/run/device.h"
#include "launch/run/encode.h"
#include "launch/run/evaluate.h"
#include "launch/run/grpo_roles.h"
#include "launch/run/list_order.h"
#include "launch/run/run_materials.h"
#include "launch/run/run_stage.h"
#include "launch/run/session.h"
#include "launch/run/slots.h"
#include "launch/run/stage.h"
#include "recommend/calibrate.h"
#include "recommend/classifier_examples.h"
#include "recommend/classify.h"
#include "recommend/list_examples.h"
#include "recommend/prompt_lengths.h"
#include "trainer/sft/sft.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Returns a job with the options that all SFT trainings share. `stage` is the stage whose settings
// the training depends on.
SftJob MakeSftJob(const Config& config, const std::string& stage, const std::string& label,
                  const SftOptions& options, const fs::path& folder, const std::string& inputs,
                  Communicator* world) {
  SftJob job;
  job.label = label;
  job.trainable = config.model.trainable;
  job.options = options;
  job.recompute = config.model.recompute;
  job.seed = config.run.seed;
  job.folder = folder;
  job.sharding = config.cluster.sharding;
  job.config_sha256 = inputs;
  job.settings = StageSettings(config, stage);
  job.learners = world != nullptr && world->size() > 1 ? world : nullptr;
  return job;
}

SftReport RunOnRanks(const Config& config, SftJob job) {
  const auto on_device =
      LearnersOnDevice(config.model.device, config.cluster.timeout, job.learners);
  job.on_device = on_device.get();
  return RunSft(job);
}

// Says before the first training which later one will be refused, as far as that is known.
void WarnOfLaterLengths(const Config& config, const Materials& materials) {
  std::vector<ListTask> tasks;
  for (size_t v = 0; v < materials.corpus.visits.size(); ++v) {
    tasks.push_back(
        {static_cast<int32_t>(v), Edit::kAdd, materials.corpus.visits[v].drugs, /*target=*/{}});
  }
  try {
    CheckCompletionLengths(materials, tasks, config.grpo.sampling.max_tokens, MaxPositions(config));
  } catch (const DataError& error) {
    LogWarning("grpo will be refused: ", error.what());
  }
}

// Returns the validation visits with all their candidates, whatever the balance in training.
std::vector<Family> ClassifierValidation(const Config& config, const Materials& materials) {
  std::vector<Family> families;
  for (const int32_t visit :
       DrawValidation(materials.corpus, config.classifier.validate_examples, config.run.seed)) {
    families.push_back(ClassifierFamily(*materials.prompts, materials.corpus.drugs.size(), visit,
                                        materials.corpus.visits[visit].drugs));
  }
  return families;
}

// Trains pi_cls on `visits`, starting from the base model. `end` is SftJob::end.
void TrainClassifier(const Config& config, const Materials& materials,
                     const std::vector<int32_t>& visits, const std::string& label,
                     const fs::path& folder, const std::string& inputs,
                     std::function<void(const Policy&)> end, Communicator* world) {
  Policy policy = OpenModel(config, materials.corpus, RunPaths(config.run.dir).base());
  FillSlots(config, &policy);
  if (config.model.trainable == "lora") policy.AddAdapters(config.model.lora, config.run.seed);
  SftJob job = MakeSftJob(config, "classifier", label, config.classifier, folder, inputs, world);
  job.policy = &policy;
  const ClassifierExamples examples(*materials.prompts, materials.corpus, visits, config.classifier,
                                    config.run.seed);
  job.num_examples = examples.size();
  job.example = [&examples](int64_t example, int64_t epoch) { return examples.At(example, epoch); };
  job.validation = [&] { return ClassifierValidation(config, materials); };
  job.end = std::move(end);
  const SftReport report = RunOnRanks(config, job);
  LogInfo(label, ": loss ", report.first_loss, " -> ", report.last_loss, " in ", report.steps,
          " steps");
}

// Scores the training visits by two classifiers; each scores the patients that it did not train on.
Scores CrossFit(const Config& config, const Materials& materials,
                const std::vector<int32_t>& visits, const std::string& inputs) {
  Scores all;
  for (int fold = 0; fold < 2; ++fold) {
    std::vector<int32_t> train, score;
    for (const int32_t visit : visits) {
      const bool own = materials.corpus.visits[visit].patient % 2 == fold;
      (own ? score : train).push_back(visit);
    }
    const std::string label = StrCat("classifier fold ", fold + 1, " of 2");
    const fs::path folder = RunPaths(config.run.dir).stage("tasks") / StrCat("fold-", fold);
    const auto add = [&](const Policy& policy) {
      const double offset =
          CalibrateClassifier(config.classifier, materials, policy, nullptr).offset;
      const Scores part = ClassifyVisits(policy, *materials.prompts, materials.corpus.drugs.size(),
                                         score, offset, config.classifier.token_budget, "scores");
      all.visits.insert(all.visits.end(), part.visits.begin(), part.visits.end());
      all.yes.insert(all.yes.end(), part.yes.begin(), part.yes.end());
    };
    TrainClassifier(config, materials, train, label, folder, inputs, add, nullptr);
  }
  return all;
}

// Returns the list policy's questions for the validation visits: both edits of the prediction that
// `classifier` makes.
std::vector<Family> ListValidation(const Config& config, const Materials& materials,
                                   const Policy& classifier) {
  const std::vector<int32_t> visits =
      DrawValidation(materials.corpus, config.list.validate_examples, config.run.seed);
  const Scores scores = ClassifyVisits(
      classifier, *materials.prompts, materials.corpus.drugs.size(), visits,
      ReadThreshold(RunPaths(config.run.dir).classifier()), config.classifier.token_budget, "");
  TaskOptions predictions = config.tasks;
  predictions.errors = "holdout";
  predictions.per_visit = 2;
  auto all = BuildListTasks(materials.corpus, scores, visits, predictions, config.run.seed);
  OrderInputs(config, materials.corpus, &all);
  std::vector<Family> families;
  for (const auto& tasks : TasksByVisit(all)) {
    families.push_back(ListFamily(*materials.prompts, tasks));
  }
  return families;
}

// Copies the file with physicians' decisions next to the tasks, so that later stages use the same
// truths.
void KeepFeedback(const Config& config, const Corpus& corpus, const std::vector<int32_t>& visits) {
  const auto feedback = ReadFeedback(config.tasks.feedback, corpus);
  const auto used = std::count_if(visits.begin(), visits.end(),
                                  [&](int32_t visit) { return feedback.contains(visit); });
  LogInfo("tasks: decisions on ", feedback.size(), " visits, ", used,
          " of which tasks are made from; evaluation still uses the recorded drugs");
  WriteFileAtomically(RunPaths(config.run.dir).feedback(), ReadWholeFile(config.tasks.feedback));
}

}  // namespace

void PrepareStage(const Config& config) {
  const RunPaths paths(config.run.dir);
  const bool synth = MakesHospital(config);
  const DataOptions data = DataOf(config);
  Stage stage = StageOf(config, "prepare", {"corpus.h5", "base"}, {});
  if (synth) stage.outputs.push_back("hospital");
  if (IsEncoderFile(config.encoders.patient)) stage.outputs.push_back("visits.h5");
  for (const auto& [key, digest] : InputDigests(config, "prepare")) stage.inputs += key + digest;
  stage.check = [&] { CheckInputs(config); };
  stage.make = [&](const std::string&) {
    if (synth) {
      // Removes tables that no record says are complete.
      fs::remove_all(paths.hospital());
      const SynthSummary made =
          WriteSynthHospital(paths.hospital(), data.synth_patients, config.run.seed);
      LogInfo("synthetic hospital: ", made.patients, " patients, ", made.visits, " visits, ",
              made.drugs_per_visit, " drugs a visit, DDI rate ", made.ddi_rate, ", best list ",
              made.oracle_list, ", P > 0.5 ", made.oracle_threshold);
    }
    const Corpus corpus = PrepareCorpus(data);
    WriteCorpus(corpus, paths.corpus());
    WriteBaseModel(config, corpus, paths.base());
  };
  RunStageOf(config, std::move(stage), nullptr);
  KeepInputDigests(config, "prepare");
}

void EncodeStage(const Config& config, Communicator* world) {
  if (!config.encoders.TrainsAny()) {
    if (IsFirst(world)) {
      LogInfo(
          "encode: nothing to do: no slot has the vectors of an encoder (encoders.diagnosis=",
          "micron, encoders.drug=molecule, encoders.patient=raremed), and encoders.train is empty");
    }
    return;
  }
  const RunPaths paths(config.run.dir);
  Stage stage = StageOf(config, "encode", {"encode/entities.h5"}, {"prepare"});
  for (const auto& [key, digest] : InputDigests(config, "encode")) stage.inputs += key + digest;
  for (const char* encoder : {"micron", "raremed", "molecule"}) {
    if (config.encoders.Trains(encoder)) {
      stage.outputs.push_back(fs::relative(paths.encoder(encoder), config.run.dir));
    }
  }
  stage.make = [&](const std::string& inputs) {
    MakeEntities(config, inputs, StageSettings(config, "encode"), world);
  };
  RunStageOf(config, std::move(stage), world, /*on_device=*/false);
  if (IsFirst(world)) KeepInputDigests(config, "encode");
}

void ClassifierStage(const Config& config, Communicator* world) {
  const RunPaths paths(config.run.dir);
  Stage stage = StageOf(config, "classifier", {"classifier/model"}, EarlierStages(config, {}));
  stage.make = [&](const std::string& inputs) {
    const auto materials = MaterialsOfRun(config);
    CheckClassifierLengths(*materials, MaxPositions(config));
    if (IsFirst(world)) WarnOfLaterLengths(config, *materials);
    const auto save = [&](const Policy& policy) {
      const Calibration calibration =
          CalibrateClassifier(config.classifier, *materials, policy, world);
      SaveModel(policy, materials->tokenizer, paths.classifier(), IsFirst(world));
      if (IsFirst(world)) WriteThreshold(calibration, paths.classifier());
    };
    TrainClassifier(config, *materials,
                    SplitTraining(config.tasks, materials->corpus, config.run.seed).classifier,
                    "classifier", paths.stage("classifier"), inputs, save, world);
  };
  RunStageOf(config, std::move(stage), world);
}

void TasksStage(const Config& config) {
  const RunPaths paths(config.run.dir);
  const bool ordered = config.tasks.list_order != "predicted";
  Stage stage = StageOf(config, "tasks", {"tasks/scores.h5", "tasks/tasks.h5"},
                        EarlierStages(config, {"classifier"}, ordered));
  const bool feedback = !config.tasks.feedback.empty();
  if (feedback) {
    if (!fs::is_regular_file(config.tasks.feedback)) {
      throw DataError("tasks.feedback: there is no file ", config.tasks.feedback.string());
    }
    stage.outputs.push_back("tasks/feedback.jsonl");
    stage.inputs += Sha256OfFile(config.tasks.feedback);
    stage.check = [&] { ReadFeedback(config.tasks.feedback, ReadCorpus(paths.corpus())); };
  }
  stage.make = [&](const std::string& inputs) {
    const auto materials = MaterialsOfRun(config);
    const TrainingVisits visits = SplitTraining(config.tasks, materials->corpus, config.run.seed);
    const auto& scored = config.tasks.errors == "holdout" ? visits.held_out : visits.classifier;
    const int32_t num_drugs = materials->corpus.drugs.size();
    const Scores scores =
        config.tasks.errors == "crossfit"
            ? CrossFit(config, *materials, scored, inputs)
            : ClassifyVisits(LoadModel(config, materials->corpus, paths.classifier()),
                             *materials->prompts, num_drugs, scored,
                             ReadThreshold(paths.classifier()), config.classifier.token_budget,
                             "scores");
    WriteScores(scores, num_drugs, paths.scores());
    if (feedback) KeepFeedback(config, materials->corpus, scored);
    const Corpus truths = TruthsOfRun(config, materials->corpus);
    auto tasks = BuildListTasks(truths, scores, scored, config.tasks, config.run.seed);
    OrderInputs(config, materials->corpus, &tasks);
    WriteListTasks(tasks, paths.tasks());
    LogInfo("tasks: ", tasks.size(), " from ", scored.size(), " visits");
  };
  RunStageOf(config, std::move(stage), nullptr);
}

void ListStage(const Config& config, Communicator* world) {
  const RunPaths paths(config.run.dir);
  const bool ordered = config.tasks.list_order != "predicted";
  Stage stage = StageOf(config, "list", {"list/model"},
                        EarlierStages(config, {"classifier", "tasks"}, ordered));
  stage.make = [&](const std::string& inputs) {
    const auto materials = MaterialsOfRun(config);
    const std::vector<ListTask> list_tasks = ReadListTasks(paths.tasks());
    CheckListLengths(*materials, list_tasks, MaxPositions(config));
    const auto tasks = TasksByVisit(list_tasks);
    Policy policy = OpenModel(config, materials->corpus, paths.classifier());
    SftJob job =
        MakeSftJob(config, "list", "list", config.list, paths.stage("list"), inputs, world);
    job.policy = &policy;
    job.num_examples = static_cast<int64_t>(tasks.size());
    job.example = [&](int64_t example, int64_t) {
      return SftExample{ListFamily(*materials->prompts, tasks[example]), {}};
    };
    job.validation = [&] { return ListValidation(config, *materials, policy); };
    job.end = [&](const Policy& trained) {
      SaveModel(trained, materials->tokenizer, paths.list(), IsFirst(world));
    };
    const SftReport report = RunOnRanks(config, job);
    LogInfo("list: loss ", report.first_loss, " -> ", report.last_loss, " in ", report.steps,
            " steps");
  };
  RunStageOf(config, std::move(stage), world);
}

Policy LoadGrpoPolicy(const Config& config, const Corpus& corpus, bool tell) {
  Policy policy = OpenModel(config, corpus, RunPaths(config.run.dir).list());
  const size_t quantized = policy.quantized().size();
  policy.MergeAdapters();
  if (const size_t plain = quantized - policy.quantized().size(); plain > 0 && tell) {
    LogInfo("grpo: ", plain, " of ", quantized, " quantised maps had adapters; the adapters are ",
            "merged, and these maps are kept in ", config.model.dtype);
  }
  policy = policy.MaterializeEntities();
  policy.AddAdapters(config.grpo.lora, config.run.seed);
  return policy;
}

namespace {

Stage MakeGrpoStage(const Config& config) {
  return StageOf(config, "grpo", {"grpo/model"},
                 EarlierStages(config, {"classifier", "tasks", "list"}));
}

}  // namespace

std::string GrpoInputs(const Config& config) { return Sha256(MakeGrpoStage(config).inputs); }

void GrpoStage(const Config& config, Communicator* world) {
  CheckRoles(config, world);
  const RunPaths paths(config.run.dir);
  Stage stage = MakeGrpoStage(config);
  stage.make = [&](const std::string& inputs) {
    const auto materials = MaterialsOfRun(config);
    const auto load = [&] { return LoadGrpoPolicy(config, materials->corpus, IsFirst(world)); };
    const auto save = [&](const Policy& policy) {
      SaveModel(policy, materials->tokenizer, paths.grpo(), IsFirst(world));
    };
    const std::vector<ListTask> tasks = ReadListTasks(paths.tasks());
    CheckCompletionLengths(*materials, tasks, config.grpo.sampling.max_tokens,
                           MaxPositions(config));
    RunGrpoRoles(config, *materials, tasks, load, save, inputs, StageSettings(config, "grpo"),
                 world);
  };
  RunStageOf(config, std::move(stage), world, !OnlyScores(config.cluster, world));
}

Stage MakeEvaluateStage(const Config& config) {
  return StageOf(config, "evaluate", {"evaluation.json", "predictions"},
                 EarlierStages(config, {"classifier", "tasks", "list", "grpo"},
                               /*reads_encoders=*/true));
}

void EvaluateStage(const Config& config) {
  const RunPaths paths(config.run.dir);
  Stage stage = MakeEvaluateStage(config);
  stage.make = [&](const std::string&) {
    WriteFileAtomically(paths.evaluation(), EvaluateRun(config).dump(2) + "\n");
  };
  RunStageOf(config, std::move(stage), nullptr);
}

void TellTimes(const Config& config) {
  std::string text;
  double all = 0;
  for (const std::string& stage :
       EarlierStages(config, {"classifier", "tasks", "list", "grpo", "evaluate"}, true)) {
    const double seconds = SecondsOfStage(config.run.dir, stage);
    all += seconds;
    text += StrCat(text.empty() ? "" : ", ", stage, " ", HumanDuration(seconds));
  }
  LogInfo("made in ", HumanDuration(all), ": ", text);
}

void RunPipeline(const Config& config) {
  CheckRoles(config, nullptr);
  CheckInputs(config);
  PrepareStage(config);
  if (config.encoders.TrainsAny()) EncodeStage(config, nullptr);
  ClassifierStage(config, nullptr);
  TasksStage(config);
  ListStage(config, nullptr);
  GrpoStage(config, nullptr);
  EvaluateStage(config);
}

}  // namespace flame
