// encoder_pass ENCODER CASE.json WEIGHTS.safetensors OUT.safetensors
//
// Runs an encoder ("micron", "raremed") on given weights, for comparison with PyTorch. CASE.json is
// {"diagnoses": n, "procedures": n, "drugs": n, "overrides": ["raremed.dim=8", ...],
//  "ddi": [[a, b], ...], "visits": [{"diagnoses": [], "procedures": [], "drugs": [], "previous"}]}.
// OUT holds "loss" [visits], without dropout, "logits" [visits, drugs], "gradient.NAME" of the sum
// of the losses and, for raremed, "vectors" [visits, dim].
#include <ATen/core/Tensor.h>
#include <ATen/ops/sum.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "base/config.h"
#include "base/files/atomic_file.h"
#include "encoders/micron.h"
#include "encoders/raremed.h"

namespace flame {
namespace {

using nlohmann::json;

Corpus CorpusOf(const json& given) {
  Corpus corpus;
  const auto codes = [](const json& count) {
    Vocabulary vocabulary;
    vocabulary.codes.resize(count.get<size_t>());
    return vocabulary;
  };
  corpus.diagnoses = codes(given.at("diagnoses"));
  corpus.procedures = codes(given.at("procedures"));
  corpus.drugs = codes(given.at("drugs"));
  corpus.ddi = DdiGraph(corpus.drugs.size());
  for (const json& pair : given.at("ddi")) corpus.ddi.Add(pair[0], pair[1]);
  for (const json& row : given.at("visits")) {
    Visit visit;
    visit.diagnoses = row.at("diagnoses").get<std::vector<int32_t>>();
    visit.procedures = row.at("procedures").get<std::vector<int32_t>>();
    visit.drugs = row.at("drugs").get<std::vector<int32_t>>();
    visit.previous = row.at("previous");
    corpus.visits.push_back(visit);
  }
  return corpus;
}

template <class Options>
Options OptionsOf(const json& given) {
  Options options;
  ConfigSchema schema;
  options.Bind(&schema);
  schema.Load("", given.at("overrides").get<std::vector<std::string>>());
  return options;
}

void Run(char** argv) {
  const json given = json::parse(ReadWholeFile(argv[2]));
  const Corpus corpus = CorpusOf(given);
  std::vector<int32_t> visits(corpus.visits.size());
  std::iota(visits.begin(), visits.end(), 0);
  NamedTensors out;
  std::unique_ptr<VisitEncoder> encoder;
  if (argv[1] == std::string("micron")) {
    encoder = std::make_unique<Micron>(
        Micron::Load(argv[3], CountsOf(corpus), OptionsOf<MicronOptions>(given)));
  } else {
    auto raremed = std::make_unique<Raremed>(
        Raremed::Load(argv[3], CountsOf(corpus), OptionsOf<RaremedOptions>(given)));
    out["vectors"] = raremed->Vectors(corpus, visits);
    encoder = std::move(raremed);
  }
  const at::Tensor loss = encoder->Loss(corpus, visits, /*dropout_seed=*/0);
  loss.sum().backward();
  out["loss"] = loss.detach();
  out["logits"] = encoder->Logits(corpus, visits);
  for (const auto& [name, parameter] : encoder->parameters()) {
    if (parameter.grad().defined()) out["gradient." + name] = parameter.grad();
  }
  WriteTensors(out, argv[4]);
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "encoder_pass ENCODER CASE.json WEIGHTS.safetensors OUT.safetensors\n";
    return 2;
  }
  try {
    flame::Run(argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
