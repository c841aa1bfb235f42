// A hospital of four visits, a tokenizer trained on its prompts and a small policy over it.
#ifndef FLAME_TESTS_ROLLOUT_ROLLOUT_FIXTURE_H_
#define FLAME_TESTS_ROLLOUT_ROLLOUT_FIXTURE_H_

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/corpus.h"
#include "data/prompts/prompt.h"
#include "model/policy.h"
#include "paths.h"
#include "reward/service.h"
#include "rollout/weight_sync.h"
#include "rollout/worker.h"
#include "tests/base/temporary_folder.h"
#include "tokenizer/tokenizer.h"

namespace flame {

inline Corpus SmallCorpus() {
  Corpus corpus;
  corpus.hospital = "test";
  corpus.drugs = {{"DB0", "DB1", "DB2", "DB3"}, {"aspirin", "insulin", "heparin", "morphine"}};
  corpus.diagnoses = {{"4280", "25000"}, {"Heart failure", "Diabetes"}};
  corpus.procedures = {{"9671"}, {"Ventilation"}};
  corpus.ddi = DdiGraph(4);
  corpus.ddi.Add(0, 2);
  for (int32_t v = 0; v < 4; ++v) {
    Visit visit;
    visit.patient = v / 2;
    visit.previous = v % 2 == 1 ? v - 1 : -1;
    visit.age = 60 + v;
    visit.gender = v % 2 == 1 ? 'F' : 'M';
    visit.diagnoses = {v % 2};
    visit.procedures = {0};
    visit.drugs = {v % 4, (v + 1) % 4};
    corpus.visits.push_back(visit);
  }
  corpus.num_patients = 2;
  return corpus;
}

inline std::vector<ListTask> SmallTasks() {
  std::vector<ListTask> tasks;
  for (int32_t visit = 0; visit < 4; ++visit) {
    tasks.push_back({visit, Edit::kAdd, {visit}, {(visit + 1) % 4}});
    tasks.push_back({visit, Edit::kRemove, {visit, (visit + 2) % 4}, {(visit + 2) % 4}});
  }
  return tasks;
}

// Adds noise of the given size, so that adapters change the policy's output.
inline void Disturb(at::Tensor tensor, double size, uint64_t seed) {
  c10::NoGradGuard no_grad;
  RandomStream random(seed);
  const at::Tensor noise = at::empty(tensor.sizes(), at::kDouble);
  for (int64_t i = 0; i < noise.numel(); ++i) {
    noise.mutable_data_ptr<double>()[i] = size * random.Normal();
  }
  tensor.add_(noise.to(tensor.scalar_type()));
}

class RolloutFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);  // the policy is too small for several threads
    const std::filesystem::path templates = FLAME_SOURCE_DIR "/configs/prompts.yaml";
    TrainTokenizer(PromptBuilder::CorpusTexts(templates, corpus_), 420, folder_ / "tokenizer.json");
    tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::Load(folder_ / "tokenizer.json"));
    vocab_size_ = tokenizer_->size();
    std::vector<std::string> slots;
    for (int32_t i = 0; i < 4; ++i) slots.push_back(EntityToken(EntityKind::kDrug, i));
    EntityTokens entities;
    entities.first[int(EntityKind::kDrug)] = tokenizer_->AddSpecialTokens(slots);
    entities.count[int(EntityKind::kDrug)] = 4;
    prompts_ = std::make_unique<PromptBuilder>(templates, corpus_, *tokenizer_, entities);
    scorer_ = std::make_unique<Scorer>(corpus_, *tokenizer_, prompts_->end_id(), RewardOptions{});
    rewards_ = MakeLocalRewardClient(*scorer_);
  }

  // Returns the same weights each time, in storage of its own; adapters are not zero.
  Policy MakePolicy(at::ScalarType dtype = at::kFloat) const {
    PolicyConfig config;
    config.vocab_size = vocab_size_;
    config.d_model = 32;
    config.num_layers = 2;
    config.num_heads = 4;
    config.num_kv_heads = 2;
    config.head_dim = 8;
    config.d_ff = 64;
    config.max_positions = 1024;
    config.end_ids = {prompts_->end_id()};
    Policy policy = Policy::Random(config, dtype, /*seed=*/3);
    at::Tensor collab = at::empty({4, 6}, dtype);
    collab.fill_(0);
    Disturb(collab, 1, 8);
    policy.AddEntities({{"drug", vocab_size_, collab, 12}}, /*seed=*/4);
    LoraOptions lora;
    lora.rank = 4;
    policy.AddAdapters(lora, /*seed=*/5);
    for (auto& [name, tensor] : policy.parameters()) {
      if (name.find("lora_B") != std::string::npos) Disturb(tensor, 0.2, 6);
      // Moves the distribution further from uniform than a random start.
      if (name == "model.embed_tokens.weight") Disturb(tensor, 0.1, 7);
    }
    return policy;
  }

  RolloutContext MakeContext(Policy* policy, int rank = 0) const {
    RolloutContext context;
    context.policy = policy;
    context.prompts = prompts_.get();
    context.tasks = &tasks_;
    context.sampling.group_size = 4;
    context.sampling.max_tokens = 12;
    context.seed = 21;
    context.folder = folder_ / "rollouts";
    context.rank = rank;
    context.config_sha256 = "digest";
    return context;
  }

  // Requests all eight tasks, with ids from 100 on.
  static RolloutRequest AllTasks() {
    RolloutRequest request;
    request.step = 5;
    request.policy_version = 0;
    for (int32_t i = 0; i < 8; ++i) {
      request.task_ids.push_back(100 + i);
      request.tasks.push_back(i);
    }
    return request;
  }

  TemporaryFolder folder_;
  Corpus corpus_ = SmallCorpus();
  std::vector<ListTask> tasks_ = SmallTasks();
  std::unique_ptr<Tokenizer> tokenizer_;
  int64_t vocab_size_ = 0;
  std::unique_ptr<PromptBuilder> prompts_;
  std::unique_ptr<Scorer> scorer_;
  std::unique_ptr<RewardClient> rewards_;
};

}  // namespace flame

#endif  // FLAME_TESTS_ROLLOUT_ROLLOUT_FIXTURE_H_
