// The child process of bench/peers/scoring.py: score_bench MODEL_FOLDER. Reads one family a line,
//   {"trunk": [ids], "branches": [[ids], ...]},
// and answers
//   {"seconds": seconds of packing, forward and head, "logprobs": [each branch's last token's]}.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "model/files/policy_files.h"
#include "model/policy.h"

namespace flame {
namespace {

void AnswerLines(const std::string& folder) {
  const at::NoGradGuard no_grad;
  const Policy policy = LoadPolicy(folder, at::kFloat);
  for (std::string line; std::getline(std::cin, line);) {
    const auto question = nlohmann::json::parse(line);
    const auto start = std::chrono::steady_clock::now();
    Family family{question.at("trunk").get<std::vector<int32_t>>(), {}};
    for (const auto& ids : question.at("branches")) {
      const auto tokens = ids.get<std::vector<int32_t>>();
      family.branches.push_back({tokens, static_cast<int32_t>(tokens.size()) - 1});
    }
    const FamilyBatch batch = PackFamilies({family});
    const at::Tensor logprobs =
        policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    const auto* values = logprobs.const_data_ptr<float>();
    std::cout << nlohmann::json{{"seconds", passed.count()},
                                {"logprobs", std::vector<float>(values, values + logprobs.numel())}}
              << std::endl;
  }
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: score_bench MODEL_FOLDER\n";
    return 2;
  }
  flame::AnswerLines(argv[1]);
  return 0;
}
