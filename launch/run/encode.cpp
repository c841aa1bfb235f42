#include "launch/run/encode.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <functional>
#include <numeric>
#include <unordered_map>

#include "base/log.h"
#include "encoders/entity_tables.h"
#include "encoders/long_tensor.h"
#include "encoders/molecule/molecules.h"
#include "encoders/molecule/pretraining.h"
#include "encoders/training.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// The inputs that the trainings of a run have in common.
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

  // The first rank keeps the weights that the config gives.
  template <class Encoder>
  Encoder Given(const std::string& name, const fs::path& weights, Encoder encoder) const {
    if (first()) {
      const fs::path copy = RunPaths(config.run.dir).encoder(name);
      fs::create_directories(copy.parent_path());
      encoder.Save(copy);
      LogInfo(name, ": weights of ", weights.string(), ", not trained");
    }
    return encoder;
  }

  void Tell(const std::string& label, const SupervisedReport& report) const {
    if (!first()) return;
    LogInfo(label, ": loss ", report.first_loss, " -> ", report.last_loss, " in ", report.steps,
            " steps");
  }

  // Trains; `save` is called at the end on the first rank and may be empty.
  void Train(const EncoderJob& job, const std::function<void()>& save) const {
    Tell(job.label, TrainEncoder(job, [&] {
           if (first() && save) save();
         }));
  }
};

Micron TrainMicron(const Trainings& trainings) {
  const RunPaths paths(trainings.config.run.dir);
  const MicronOptions& options = trainings.config.micron;
  const Corpus& corpus = trainings.corpus;
  if (!options.weights.empty()) {
    return trainings.Given("micron", options.weights,
                           Micron::Load(options.weights, CountsOf(corpus), options));
  }
  Micron micron = Micron::Random(CountsOf(corpus), options, trainings.config.run.seed);
  EncoderJob job = trainings.Job("micron", paths.encoder("micron").parent_path(), options, &micron);
  job.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
    return micron.Loss(corpus, visits, seed);
  };
  trainings.Train(job, [&] { micron.Save(paths.encoder("micron")); });
  return micron;
}

// Pretrains on both tasks, each in a folder of its own, then fine-tunes.
Raremed TrainRaremed(const Trainings& trainings) {
  const fs::path file = RunPaths(trainings.config.run.dir).encoder("raremed");
  const fs::path folder = file.parent_path();
  const RaremedOptions& options = trainings.config.raremed;
  const Corpus& corpus = trainings.corpus;
  if (!options.weights.empty()) {
    return trainings.Given("raremed", options.weights,
                           Raremed::Load(options.weights, CountsOf(corpus), options));
  }
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
  trainings.Train(tuning, [&] { raremed.Save(file); });
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

std::vector<const MoleculeGraph*> GraphsOf(const Molecules& molecules,
                                           const std::vector<int32_t>& numbers) {
  std::vector<const MoleculeGraph*> graphs;
  for (const int32_t number : numbers) graphs.push_back(&molecules.graphs[number]);
  return graphs;
}

// Trains the tokenizer of atoms, then the graph network.
MoleculeEncoder TrainMolecules(const Trainings& trainings, const Molecules& molecules) {
  const fs::path file = RunPaths(trainings.config.run.dir).encoder("molecule");
  const MoleculeOptions& options = trainings.config.molecule;
  const GinShape shape = {options.dim, options.layers};
  if (!options.weights.empty()) {
    return trainings.Given("molecule", options.weights,
                           MoleculeEncoder::Load(options.weights, shape));
  }
  const auto seed = static_cast<uint64_t>(trainings.config.run.seed);
  const auto job_of = [&](const std::string& label, const fs::path& folder, int64_t epochs,
                          WholeModel* model, const NamedTensors& buffers) {
    EncoderTrainingOptions training;
    training.optimizer = options.optimizer;
    training.batch = options.batch;
    training.epochs = epochs;
    EncoderJob job = trainings.Job(label, folder, training, model);
    job.train.resize(molecules.graphs.size());
    std::iota(job.train.begin(), job.train.end(), 0);
    job.validation.clear();
    job.length = [&molecules](int32_t molecule) {
      return static_cast<int64_t>(molecules.graphs[molecule].atoms.size());
    };
    job.whole_batches = true;
    job.state = buffers;
    return job;
  };
  const auto each = [](const at::Tensor& loss, size_t count) {
    return loss.expand({static_cast<int64_t>(count)});
  };
  AtomTokenizer tokenizer = AtomTokenizer::Random(shape, seed);
  EncoderJob first = job_of("molecule tokenizer", file.parent_path() / "tokenizer",
                            options.tokenizer_epochs, &tokenizer, tokenizer.buffers());
  first.loss = [&](const std::vector<int32_t>& numbers, uint64_t) {
    return each(tokenizer.Loss(BatchOf(GraphsOf(molecules, numbers))), numbers.size());
  };
  trainings.Train(first, {});
  MoleculeEncoder encoder = MoleculeEncoder::Random(shape, seed);
  EncoderJob second =
      job_of("molecule", file.parent_path(), options.epochs, &encoder, encoder.buffers());
  second.loss = [&](const std::vector<int32_t>& numbers, uint64_t step_seed) {
    return each(encoder.Loss(GraphsOf(molecules, numbers), numbers, tokenizer, step_seed),
                numbers.size());
  };
  trainings.Train(second, [&] { encoder.Save(file); });
  return encoder;
}

// Says which SMILES and which drugs of the corpus have no structure.
void TellUnknown(const Molecules& molecules, const std::vector<std::string>& unknown, size_t all) {
  if (!molecules.refused.empty()) {
    LogWarning("molecule: ", molecules.refused.size(), " of ",
               molecules.refused.size() + molecules.ids.size(),
               " SMILES cannot be read, such as that of ", molecules.refused[0]);
  }
  if (!molecules.doubled.empty()) {
    LogWarning("molecule: ", molecules.doubled.size(), " further rows of drugs that have a ",
               "structure already, such as ", molecules.doubled[0], ", are not read");
  }
  if (molecules.unnamed > 0) {
    LogWarning("molecule: ", molecules.unnamed, " rows with a SMILES and no drug_id are not read");
  }
  if (unknown.empty()) return;
  LogWarning("molecule: ", unknown.size(), " of ", all, " drugs have no structure, such as ",
             unknown[0], "; they share the vector of an unknown molecule");
}

EntityTable DrugTable(const Trainings& trainings) {
  const std::vector<std::string>& codes = trainings.corpus.drugs.codes;
  const Molecules molecules = ReadMolecules(SmilesFile(trainings.config));
  const MoleculeEncoder encoder = TrainMolecules(trainings, molecules);
  std::unordered_map<std::string, int32_t> numbers;
  for (size_t i = 0; i < molecules.ids.size(); ++i) {
    numbers[molecules.ids[i]] = static_cast<int32_t>(i);
  }
  std::vector<int32_t> known;
  std::vector<std::string> unknown;
  std::vector<int64_t> rows;  // of each drug in the table of known vectors; the last is unknown
  for (const std::string& code : codes) {
    const auto found = numbers.find(code);
    rows.push_back(found == numbers.end() ? -1 : static_cast<int64_t>(known.size()));
    if (found == numbers.end()) unknown.push_back(code);
    if (found != numbers.end()) known.push_back(found->second);
  }
  for (int64_t& row : rows) {
    if (row < 0) row = static_cast<int64_t>(known.size());
  }
  if (trainings.first()) TellUnknown(molecules, unknown, codes.size());
  const at::Tensor vectors =
      at::cat({encoder.Vectors(GraphsOf(molecules, known)), encoder.UnknownVector().unsqueeze(0)});
  return {codes, vectors.index_select(0, LongTensor(rows))};
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
    const Raremed raremed = TrainRaremed(trainings);
    if (trainings.first()) tables["visit"] = VisitTable(corpus, raremed);
  }
  if (config.encoders.Trains("molecule")) tables["drug"] = DrugTable(trainings);
  if (trainings.first()) WriteEntities(tables, paths.entities());
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
