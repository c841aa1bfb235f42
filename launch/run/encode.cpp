#include "launch/run/encode.h"

#include <ATen/TensorOperators.h>

#include <cmath>
#include <numeric>

#include "base/log.h"
#include "encoders/entity_tables.h"
#include "encoders/training.h"
#include "launch/config/run_paths.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// What the trainings of a run have in common.
struct Trainings {
  const Config& config;
  const Corpus& corpus;
  std::string inputs, settings;
  Communicator* world;

  bool first() const { return world == nullptr || world->rank() == 0; }

  EncoderJob Job(const std::string& label, const fs::path& folder,
                 const EncoderTrainingOptions& options, WholeModel* model) const {
    EncoderJob job;
    job.label = label;
    job.options = options;
    job.model = model;
    job.train = corpus.VisitsOf(Split::kTrain);
    job.validation = corpus.VisitsOf(Split::kValidation);
    job.seed = static_cast<uint64_t>(config.run.seed);
    job.folder = folder;
    job.config_sha256 = inputs;
    job.settings = settings;
    job.learners = world != nullptr && world->size() > 1 ? world : nullptr;
    job.length = [this](int32_t visit) { return Raremed::LengthOf(corpus.visits[visit]); };
    return job;
  }

  void Tell(const std::string& label, const SupervisedReport& report) const {
    if (!first()) return;
    LogInfo(label, ": loss ", report.first_loss, " -> ", report.last_loss, " in ", report.steps,
            " steps");
  }

  // Trains, and saves the model's weights at the end if `file` is not empty.
  void Train(const EncoderJob& job, const fs::path& file) const {
    const auto save = [&] {
      if (first() && !file.empty()) job.model->Save(file);
    };
    Tell(job.label, TrainEncoder(job, save));
  }
};

Micron TrainMicron(const Trainings& trainings) {
  const RunPaths paths(trainings.config.run.dir);
  const MicronOptions& options = trainings.config.micron;
  const Corpus& corpus = trainings.corpus;
  Micron micron = Micron::Random(CountsOf(corpus), options, trainings.config.run.seed);
  EncoderJob job = trainings.Job("micron", paths.encoder("micron").parent_path(), options, &micron);
  job.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
    return micron.Loss(corpus, visits, seed);
  };
  trainings.Train(job, paths.encoder("micron"));
  return micron;
}

// Pretrains on both tasks, each in a folder of its own, then fine-tunes.
Raremed TrainRaremed(const Trainings& trainings) {
  const fs::path file = RunPaths(trainings.config.run.dir).encoder("raremed");
  const fs::path folder = file.parent_path();
  const RaremedOptions& options = trainings.config.raremed;
  const Corpus& corpus = trainings.corpus;
  Raremed raremed = Raremed::Random(CountsOf(corpus), options, trainings.config.run.seed);
  EncoderTrainingOptions pretraining = options;
  pretraining.epochs = options.pretrain_epochs;
  if (options.pretrain_epochs > 0) {
    EncoderJob matching =
        trainings.Job("raremed matching", folder / "matching", pretraining, &raremed);
    matching.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
      return raremed.MatchingLoss(corpus, visits, matching.train, seed);
    };
    trainings.Train(matching, {});
    EncoderJob masking =
        trainings.Job("raremed reconstruction", folder / "reconstruction", pretraining, &raremed);
    masking.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
      return raremed.ReconstructionLoss(corpus, visits, seed);
    };
    trainings.Train(masking, {});
  }
  EncoderJob tuning = trainings.Job("raremed", folder, options, &raremed);
  tuning.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
    return raremed.Loss(corpus, visits, seed);
  };
  trainings.Train(tuning, file);
  return raremed;
}

EntityTable VisitTable(const Corpus& corpus, const Raremed& raremed) {
  std::vector<int32_t> all(corpus.visits.size());
  std::iota(all.begin(), all.end(), 0);
  EntityTable table;
  for (const Visit& visit : corpus.visits) table.ids.push_back(std::to_string(visit.hadm));
  table.vectors = raremed.Vectors(corpus, all);
  return table;
}

at::Tensor OfUnitSize(const at::Tensor& vectors) {
  const double mean_square = vectors.square().mean().item<double>();
  return mean_square > 0 ? vectors / std::sqrt(mean_square) : vectors;
}

}  // namespace

void MakeEntities(const Config& config, const std::string& inputs, const std::string& settings,
                  Communicator* world) {
  const RunPaths paths(config.run.dir);
  const Corpus corpus = ReadCorpus(paths.corpus());
  const Trainings trainings = {config, corpus, inputs, settings, world};
  EntityTables tables;
  if (config.encoders.Trains("micron")) {
    const Micron micron = TrainMicron(trainings);
    tables["diagnosis"] = {corpus.diagnoses.codes, micron.DiagnosisVectors()};
    tables["procedure"] = {corpus.procedures.codes, micron.ProcedureVectors()};
  }
  if (config.encoders.Trains("raremed")) {
    tables["visit"] = VisitTable(corpus, TrainRaremed(trainings));
  }
  if (trainings.first()) WriteEntities(tables, paths.entities());
}

void FillSlots(const Config& config, Policy* policy) {
  EntityTables tables;
  for (const auto& [kind, encoder] : {std::pair("diagnosis", config.encoders.diagnosis),
                                      {"procedure", config.encoders.procedure}}) {
    if (encoder != "micron") continue;
    if (tables.empty()) tables = ReadEntities(RunPaths(config.run.dir).entities());
    policy->SetCollab(kind, OfUnitSize(tables.at(kind).vectors));
  }
}

TrainedEncoders LoadEncoders(const Config& config, const Corpus& corpus) {
  const RunPaths paths(config.run.dir);
  TrainedEncoders encoders;
  if (config.encoders.Trains("micron")) {
    encoders.micron = Micron::Load(paths.encoder("micron"), CountsOf(corpus), config.micron);
  }
  if (config.encoders.Trains("raremed")) {
    encoders.raremed = Raremed::Load(paths.encoder("raremed"), CountsOf(corpus), config.raremed);
  }
  return encoders;
}

}  // namespace flame
