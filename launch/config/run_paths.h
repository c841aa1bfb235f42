// The paths of a run's outputs.
#ifndef FLAME_LAUNCH_CONFIG_RUN_PATHS_H_
#define FLAME_LAUNCH_CONFIG_RUN_PATHS_H_

#include <filesystem>
#include <string>

namespace flame {

struct RunPaths {
  explicit RunPaths(std::filesystem::path dir) : dir(std::move(dir)) {}
  std::filesystem::path dir;

  std::filesystem::path config() const { return dir / "config.yaml"; }
  std::filesystem::path hospital() const { return dir / "hospital"; }  // data.hospital: synth
  std::filesystem::path corpus() const { return dir / "corpus.h5"; }
  std::filesystem::path base() const { return dir / "base"; }  // the model that SFT starts from
  std::filesystem::path entities() const { return dir / "encode" / "entities.h5"; }
  std::filesystem::path encoder(const std::string& name) const {  // "micron", "raremed"
    return dir / "encode" / name / "model.safetensors";
  }
  // The visits' vectors that encoders.patient takes from a file, as entities.h5 has them.
  std::filesystem::path visit_vectors() const { return dir / "visits.h5"; }
  std::filesystem::path stage(const char* name) const { return dir / name; }
  std::filesystem::path classifier() const { return dir / "classifier" / "model"; }
  std::filesystem::path scores() const { return dir / "tasks" / "scores.h5"; }
  std::filesystem::path tasks() const { return dir / "tasks" / "tasks.h5"; }
  std::filesystem::path feedback() const { return dir / "tasks" / "feedback.jsonl"; }
  std::filesystem::path list() const { return dir / "list" / "model"; }
  std::filesystem::path grpo() const { return dir / "grpo" / "model"; }
  std::filesystem::path evaluation() const { return dir / "evaluation.json"; }
  // The lists of a row of evaluation.json, as ReadPredictions reads them.
  std::filesystem::path predictions() const { return dir / "predictions"; }
  std::filesystem::path predictions(const std::string& policy) const {
    return predictions() / (policy + ".jsonl");
  }
};

}  // namespace flame

#endif  // FLAME_LAUNCH_CONFIG_RUN_PATHS_H_
