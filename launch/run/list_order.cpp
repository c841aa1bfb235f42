#include "launch/run/list_order.h"

#include <algorithm>
#include <utility>

#include "launch/run/encode.h"
#include "recommend/evaluation/encoder_rows.h"

namespace flame {
namespace {

// The logits of the encoder that config.tasks.list_order names, [visits, drugs].
std::vector<float> ScoresOf(const Config& config, const Corpus& corpus,
                            const std::vector<int32_t>& visits) {
  const TrainedEncoders encoders = LoadEncoders(config, corpus);
  return config.tasks.list_order == "micron" ? EncoderLogits(*encoders.micron, corpus, visits)
                                             : EncoderLogits(*encoders.raremed, corpus, visits);
}

}  // namespace

void OrderLists(const Config& config, const Corpus& corpus, const std::vector<int32_t>& visits,
                std::vector<std::vector<int32_t>>* lists) {
  if (config.tasks.list_order == "predicted") return;
  std::vector<int32_t> different = visits;
  std::sort(different.begin(), different.end());
  different.erase(std::unique(different.begin(), different.end()), different.end());
  const std::vector<float> scores = ScoresOf(config, corpus, different);
  for (size_t i = 0; i < visits.size(); ++i) {
    const auto row = std::lower_bound(different.begin(), different.end(), visits[i]);
    const float* own = scores.data() + (row - different.begin()) * corpus.drugs.size();
    std::stable_sort((*lists)[i].begin(), (*lists)[i].end(),
                     [&](int32_t a, int32_t b) { return own[a] > own[b]; });
  }
}

void OrderInputs(const Config& config, const Corpus& corpus, std::vector<ListTask>* tasks) {
  std::vector<int32_t> visits;
  std::vector<std::vector<int32_t>> inputs;
  for (ListTask& task : *tasks) {
    visits.push_back(task.visit);
    inputs.push_back(std::move(task.input));
  }
  OrderLists(config, corpus, visits, &inputs);
  for (size_t i = 0; i < tasks->size(); ++i) (*tasks)[i].input = std::move(inputs[i]);
}

}  // namespace flame
