// Metrics of a run: one JSON object a step in metrics.jsonl, and its numbers as TensorBoard scalars
// (TFRecord framing with masked CRC-32C, event.proto / summary.proto).
#ifndef FLAME_BASE_METRICS_H_
#define FLAME_BASE_METRICS_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace flame {

class MetricsSink {
 public:
  // Opens folder/metrics.jsonl for appending after dropping lines whose "step" is above
  // `last_step` (a resumed run writes those again), and a new folder/events.out.tfevents.* file.
  MetricsSink(const std::filesystem::path& folder, int64_t last_step);
  ~MetricsSink();
  // Writes one step; `row` must hold an integer "step". Non-finite numbers are written as null.
  void Write(const nlohmann::json& row);

 private:
  std::filesystem::path folder_;
  std::ofstream lines_, events_;
};

// Returns the sum of each column in `names` over the rows of folder/metrics.jsonl, zeros if the
// file is missing. Ignores a line that a killed writer left unfinished.
std::vector<double> SumsOfMetrics(const std::filesystem::path& folder,
                                  const std::vector<std::string>& names);

}  // namespace flame

#endif  // FLAME_BASE_METRICS_H_
