#include "launch/stages.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/log.h"
#include "data/prepare.h"
#include "data/synth.h"
#include "launch/base_model.h"
#include "launch/classify.h"
#include "launch/evaluate.h"
#include "launch/grpo_roles.h"
#include "launch/materials.h"
#include "launch/run_paths.h"
#include "launch/stage.h"
#include "trainer/sft.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

std::string FileStamp(const fs::directory_entry& file) {
  return StrCat(file.path().filename().string(), " ", file.file_size(), " ",
                file.last_write_time().time_since_epoch().count(), "\n");
}

// Size and time of a file, or of a folder's files, so that a changed one is noticed without reading
// gigabytes; "" where there is none.
std::string FileStamps(const fs::path& path) {
  std::vector<std::string> stamps;
  if (fs::is_regular_file(path)) stamps.push_back(FileStamp(fs::directory_entry(path)));
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.is_regular_file()) stamps.push_back(FileStamp(entry));
    }
  }
  std::sort(stamps.begin(), stamps.end());
  std::string joined;
  for (const std::string& stamp : stamps) joined += stamp;
  return joined;
}

// In the given order, so that the first stage that is missing is the one named.
std::string OutputDigests(const fs::path& run_dir, const std::vector<std::string>& stages) {
  std::string digests;
  for (const std::string& stage : stages) digests += OutputDigest(run_dir, stage);
  return digests;
}

DataOptions DataOf(const Config& config) {
  DataOptions data = config.data;
  if (data.hospital == "synth" && data.root.empty()) {
    data.root = RunPaths(config.run.dir).hospital();
    data.mappings = data.root / "mappings";
  }
  return data;
}

// Rank 0 alone reads and writes the stage's record; all ranks make it.
void RunTrainingStage(const Stage& stage, Communicator* world) {
  if (world == nullptr || world->size() == 1) return RunStage(stage);
  const auto start = std::chrono::steady_clock::now();
  at::Tensor begun = at::zeros({1}, at::kLong);
  if (world->rank() == 0) begun.fill_(BeginStage(stage) ? 1 : 0);
  world->Broadcast(begun, 0)->Wait();
  if (begun.item<int64_t>() == 0) return;
  stage.make(Sha256(stage.inputs));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (world->rank() == 0) FinishStage(stage, seconds.count());
  world->Barrier();
}

bool IsFirst(Communicator* world) { return world == nullptr || world->rank() == 0; }

SftJob MakeSftJob(const Config& config, const std::string& label, const SftOptions& options,
                  const fs::path& folder, const std::string& inputs, Communicator* world) {
  SftJob job;
  job.label = label;
  job.trainable = config.model.trainable;
  job.options = options;
  job.recompute = config.model.recompute;
  job.seed = config.run.seed;
  job.folder = folder;
  job.config_sha256 = inputs;
  job.learners = world != nullptr && world->size() > 1 ? world : nullptr;
  return job;
}

// pi_cls trained on `visits`, from the base model.
Policy TrainClassifier(const Config& config, const Materials& materials,
                       const std::vector<int32_t>& visits, const std::string& label,
                       const fs::path& folder, const std::string& inputs, Communicator* world) {
  Policy policy = LoadModel(config, RunPaths(config.run.dir).base());
  if (config.model.trainable == "lora") policy.AddAdapters(config.model.lora, config.run.seed);
  SftJob job = MakeSftJob(config, label, config.classifier, folder, inputs, world);
  job.policy = &policy;
  job.num_examples = static_cast<int64_t>(visits.size());
  job.family = [&](int64_t example) {
    const int32_t visit = visits[example];
    return ClassifierFamily(*materials.prompts, materials.corpus.drugs.size(), visit,
                            &materials.corpus.visits[visit].drugs);
  };
  const SftReport report = RunSft(job);
  LogInfo(label, ": loss ", report.first_loss, " -> ", report.last_loss, " in ", report.steps,
          " steps");
  return policy;
}

// Scores of training visits by two classifiers, each on the patients that it did not see.
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
    const Policy policy = TrainClassifier(config, materials, train, label, folder, inputs, nullptr);
    const Scores part = ClassifyVisits(policy, *materials.prompts, materials.corpus.drugs.size(),
                                       score, config.classifier.token_budget, "scores");
    all.visits.insert(all.visits.end(), part.visits.begin(), part.visits.end());
    all.yes.insert(all.yes.end(), part.yes.begin(), part.yes.end());
  }
  return all;
}

// Tasks that share a visit share its trunk.
std::vector<std::vector<ListTask>> TasksByVisit(const std::vector<ListTask>& tasks) {
  std::vector<std::vector<ListTask>> groups;
  std::map<int32_t, size_t> group_of;
  for (const ListTask& task : tasks) {
    const auto [found, added] = group_of.try_emplace(task.visit, groups.size());
    if (added) groups.emplace_back();
    groups[found->second].push_back(task);
  }
  return groups;
}

Family ListFamily(const PromptBuilder& prompts, const std::vector<ListTask>& tasks) {
  Family family;
  family.trunk = prompts.ListTrunk(tasks.front().visit);
  for (const ListTask& task : tasks) {
    Branch branch;
    branch.tokens = prompts.ListQuestion(task.input, task.edit);
    branch.loss_from = static_cast<int32_t>(branch.tokens.size());
    const std::vector<int32_t> answer = prompts.ListAnswer(task.target);
    branch.tokens.insert(branch.tokens.end(), answer.begin(), answer.end());
    family.branches.push_back(std::move(branch));
  }
  return family;
}

}  // namespace

void PrepareStage(const Config& config) {
  const RunPaths paths(config.run.dir);
  const bool synth = config.data.hospital == "synth" && config.data.root.empty();
  const DataOptions data = DataOf(config);
  Stage stage{"prepare", paths.dir, {}, {"corpus.h5", "base"}, {}};
  if (synth) stage.outputs.push_back("hospital");
  stage.inputs =
      config.Canonical({"data", "prompts", "encoders", "model.path", "model.preset", "model.dtype",
                        "model.quantize", "model.vocab_size", "run.seed"}) +
      (synth ? "" : FileStamps(data.root) + FileStamps(data.mappings)) +
      FileStamps(config.model.path) + FileStamps(config.encoders.diagnosis) +
      FileStamps(config.encoders.procedure) + FileStamps(config.encoders.drug) +
      Sha256OfFile(PromptFile(config));
  stage.make = [&](const std::string&) {
    if (synth) {
      // Tables of which no record says that they are whole.
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
  RunStage(stage);
}

void ClassifierStage(const Config& config, Communicator* world) {
  const RunPaths paths(config.run.dir);
  Stage stage{"classifier", paths.dir, {}, {"classifier/model"}, {}};
  stage.inputs =
      config.Canonical({"classifier", "model", "tasks.errors", "tasks.holdout", "run.seed"}) +
      OutputDigests(paths.dir, {"prepare"});
  stage.make = [&](const std::string& inputs) {
    const auto materials = LoadMaterials(config);
    const Policy policy =
        TrainClassifier(config, *materials, SplitTraining(config, materials->corpus).classifier,
                        "classifier", paths.stage("classifier"), inputs, world);
    if (IsFirst(world)) SaveModel(policy, materials->tokenizer, paths.classifier());
  };
  RunTrainingStage(stage, world);
}

void TasksStage(const Config& config) {
  const RunPaths paths(config.run.dir);
  Stage stage{"tasks", paths.dir, {}, {"tasks/scores.h5", "tasks/tasks.h5"}, {}};
  stage.inputs =
      config.Canonical({"tasks", "run.seed"}) + OutputDigests(paths.dir, {"prepare", "classifier"});
  stage.make = [&](const std::string& inputs) {
    const auto materials = LoadMaterials(config);
    const TrainingVisits visits = SplitTraining(config, materials->corpus);
    const auto& scored = config.tasks.errors == "holdout" ? visits.held_out : visits.classifier;
    const int32_t num_drugs = materials->corpus.drugs.size();
    const Scores scores =
        config.tasks.errors == "crossfit"
            ? CrossFit(config, *materials, scored, inputs)
            : ClassifyVisits(LoadModel(config, paths.classifier()), *materials->prompts, num_drugs,
                             scored, config.classifier.token_budget, "scores");
    WriteScores(scores, num_drugs, paths.scores());
    const auto tasks =
        BuildListTasks(materials->corpus, scores, scored, config.tasks, config.run.seed);
    WriteListTasks(tasks, paths.tasks());
    LogInfo("tasks: ", tasks.size(), " from ", scored.size(), " visits");
  };
  RunStage(stage);
}

void ListStage(const Config& config, Communicator* world) {
  const RunPaths paths(config.run.dir);
  Stage stage{"list", paths.dir, {}, {"list/model"}, {}};
  stage.inputs = config.Canonical({"list", "model", "run.seed"}) +
                 OutputDigests(paths.dir, {"prepare", "classifier", "tasks"});
  stage.make = [&](const std::string& inputs) {
    const auto materials = LoadMaterials(config);
    const auto tasks = TasksByVisit(ReadListTasks(paths.tasks()));
    Policy policy = LoadModel(config, paths.classifier());
    SftJob job = MakeSftJob(config, "list", config.list, paths.stage("list"), inputs, world);
    job.policy = &policy;
    job.num_examples = static_cast<int64_t>(tasks.size());
    job.family = [&](int64_t example) { return ListFamily(*materials->prompts, tasks[example]); };
    const SftReport report = RunSft(job);
    LogInfo("list: loss ", report.first_loss, " -> ", report.last_loss, " in ", report.steps,
            " steps");
    if (IsFirst(world)) SaveModel(policy, materials->tokenizer, paths.list());
  };
  RunTrainingStage(stage, world);
}

void GrpoStage(const Config& config, Communicator* world) {
  const RunPaths paths(config.run.dir);
  Stage stage{"grpo", paths.dir, {}, {"grpo/model"}, {}};
  stage.inputs =
      config.Canonical({"grpo", "reward", "credit", "model.dtype", "model.quantize", "run.seed"}) +
      OutputDigests(paths.dir, {"prepare", "tasks", "list"});
  stage.make = [&](const std::string& inputs) {
    const auto materials = LoadMaterials(config);
    Policy policy = LoadModel(config, paths.list());
    policy.MergeAdapters();
    policy = policy.MaterializeEntities();
    policy.AddAdapters(config.grpo.lora, config.run.seed);
    RunGrpoRoles(config, *materials, ReadListTasks(paths.tasks()), &policy, inputs, world);
    if (IsFirst(world)) SaveModel(policy, materials->tokenizer, paths.grpo());
  };
  RunTrainingStage(stage, world);
}

void EvaluateStage(const Config& config) {
  const RunPaths paths(config.run.dir);
  Stage stage{"evaluate", paths.dir, {}, {"evaluation.json"}, {}};
  stage.inputs = config.Canonical({"evaluate", "grpo.constrain", "grpo.max_tokens", "run.seed"}) +
                 OutputDigests(paths.dir, {"prepare", "classifier", "list", "grpo"});
  stage.make = [&](const std::string&) {
    WriteFileAtomically(paths.evaluation(), EvaluateRun(config).dump(2) + "\n");
  };
  RunStage(stage);
}

void RunPipeline(const Config& config) {
  PrepareStage(config);
  ClassifierStage(config, nullptr);
  TasksStage(config);
  ListStage(config, nullptr);
  GrpoStage(config, nullptr);
  EvaluateStage(config);
}

}  // namespace flame
