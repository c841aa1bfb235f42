#include "launch/plan_work.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "base/error.h"
#include "launch/classify.h"
#include "launch/materials.h"
#include "launch/run_paths.h"
#include "trainer/micro_batch.h"

namespace flame {
namespace {

// Tokens, where nothing is prepared yet.
constexpr int64_t kTrunk = 400, kCandidate = 12, kCandidates = 150, kQuestion = 80, kAnswer = 60;
constexpr size_t kSample = 256;  // examples whose lengths are looked at

Family MadeFamily(int64_t trunk, int64_t branches, int64_t asked_from, int64_t tokens) {
  Family family{std::vector<int32_t>(trunk), {}};
  for (int64_t b = 0; b < branches; ++b) {
    family.branches.push_back({std::vector<int32_t>(tokens), static_cast<int32_t>(asked_from)});
  }
  return family;
}

// Examples of a stage, of which a step takes so many.
struct Examples {
  std::vector<Family> families;
  int64_t a_step = 1;
};

Family OfTasks(const PromptBuilder& prompts, const std::vector<ListTask>& tasks) {
  Family family{prompts.ListTrunk(tasks.front().visit), {}};
  for (const ListTask& task : tasks) {
    Branch branch{prompts.ListQuestion(task.input, task.edit), 0};
    branch.loss_from = static_cast<int32_t>(branch.tokens.size());
    const auto answer = prompts.ListAnswer(task.target);
    branch.tokens.insert(branch.tokens.end(), answer.begin(), answer.end());
    family.branches.push_back(std::move(branch));
  }
  return family;
}

std::vector<Family> Classifier(const Config& config, const Materials* materials, StageWork* work) {
  if (materials == nullptr) {
    work->basis.push_back(StrCat("no corpus in run.dir: assumed ", kTrunk, " tokens a patient, ",
                                 kCandidates, " candidates of ", kCandidate, " tokens"));
    return {MadeFamily(kTrunk, kCandidates, kCandidate, kCandidate + 1)};
  }
  const auto visits = SplitTraining(config, materials->corpus).classifier;
  std::vector<Family> families;
  for (size_t i = 0; i < std::min(kSample, visits.size()); ++i) {
    families.push_back(
        ClassifierFamily(*materials->prompts, materials->corpus.drugs.size(), visits[i], {}));
  }
  work->basis.push_back(StrCat("lengths of ", families.size(), " training visits of corpus.h5"));
  if (config.classifier.balance == "subsample") {
    work->basis.push_back("all candidates counted, though classifier.balance is subsample");
  }
  return families;
}

std::vector<Family> Lists(const Config& config, const Materials* materials, StageWork* work) {
  const auto path = RunPaths(config.run.dir).tasks();
  if (materials == nullptr || !std::filesystem::exists(path)) {
    work->basis.push_back(StrCat("no list tasks in run.dir: assumed ", kTrunk,
                                 " tokens a patient, ", kQuestion, " a question, ", kAnswer,
                                 " an answer"));
    return {MadeFamily(kTrunk, config.tasks.per_visit, kQuestion, kQuestion + kAnswer)};
  }
  std::map<int32_t, std::vector<ListTask>> by_visit;
  for (const ListTask& task : ReadListTasks(path)) by_visit[task.visit].push_back(task);
  std::vector<Family> families;
  for (const auto& [visit, tasks] : by_visit) {
    if (families.size() < kSample) families.push_back(OfTasks(*materials->prompts, tasks));
  }
  work->basis.push_back(StrCat("lengths of ", families.size(), " visits of tasks.h5"));
  return families;
}

// Groups whose completions are all max_tokens long, of the list families' tasks.
std::vector<Family> Groups(const Config& config, const std::vector<Family>& lists,
                           StageWork* work) {
  const SamplingOptions& sampling = config.grpo.sampling;
  std::vector<Family> groups;
  for (const Family& list : lists) {
    for (const Branch& branch : list.branches) {
      groups.push_back(MadeFamily(static_cast<int64_t>(list.trunk.size()) + branch.loss_from,
                                  sampling.group_size, 0, sampling.max_tokens));
    }
  }
  work->basis.push_back(
      StrCat("every completion counted as grpo.max_tokens = ", sampling.max_tokens, " tokens"));
  return groups;
}

// Pairs of a query and a key that attention computes.
double PairsOf(const FamilyBatch& batch) {
  double pairs = 0;
  for (const FamilyLayout& family : batch.families) {
    const auto p = static_cast<double>(family.trunk.size);
    pairs += p * (p + 1) / 2;
    for (const Span& branch : family.branches) {
      const auto r = static_cast<double>(branch.size);
      pairs += r * p + r * (r + 1) / 2;
    }
  }
  return pairs;
}

// A step of the longest examples gives the largest micro-batch; the means of all give the work.
void Count(const Examples& examples, int64_t budget, int64_t learners, StageWork* work) {
  std::vector<Family> sorted = examples.families;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Family& a, const Family& b) { return a.NumTokens() > b.NumTokens(); });
  const int64_t share = (examples.a_step + learners - 1) / learners;
  std::vector<Family> longest;
  for (int64_t i = 0; i < share; ++i) longest.push_back(sorted[i % sorted.size()]);
  for (const MicroBatch& cut : CutMicroBatches(longest, budget)) {
    const PassShape shape = ShapeOf(PackFamilies(cut.families));
    if (shape.tokens > work->largest.tokens) work->largest = shape;
  }
  const double scale =
      static_cast<double>(examples.a_step) / static_cast<double>(examples.families.size());
  for (const MicroBatch& cut : CutMicroBatches(sorted, budget)) {
    const FamilyBatch batch = PackFamilies(cut.families);
    work->tokens += scale * static_cast<double>(batch.tokens.numel());
    work->asked += scale * static_cast<double>(batch.asked_rows.numel());
    work->targets += scale * static_cast<double>(batch.targets.numel());
    work->pairs += scale * PairsOf(batch);
  }
  work->passes = std::max(1.0, std::ceil(work->tokens / static_cast<double>(learners * budget)));
}

}  // namespace

StageWork WorkOf(const Config& config, const std::string& stage, int64_t learners) {
  const RunPaths paths(config.run.dir);
  std::unique_ptr<Materials> materials;
  if (std::filesystem::exists(paths.corpus()) && std::filesystem::is_directory(paths.base())) {
    materials = LoadMaterials(config);
  }
  StageWork work;
  if (stage == "classifier") {
    Count({Classifier(config, materials.get(), &work), config.classifier.batch},
          config.classifier.token_budget, learners, &work);
    return work;
  }
  const std::vector<Family> lists = Lists(config, materials.get(), &work);
  if (stage == "list") {
    Count({lists, config.list.batch}, config.list.token_budget, learners, &work);
    return work;
  }
  const std::vector<Family> groups = Groups(config, lists, &work);
  Count({groups, config.grpo.tasks}, config.grpo.token_budget, learners, &work);
  double prompts = 0;
  for (const Family& group : groups) {
    const auto prompt = static_cast<int64_t>(group.trunk.size());
    work.longest_prompt = std::max(work.longest_prompt, prompt);
    prompts += static_cast<double>(prompt);
  }
  const auto tasks = static_cast<double>(config.grpo.tasks);
  work.prompt_tokens = prompts / static_cast<double>(groups.size()) * tasks;
  work.sampled_tokens = tasks * static_cast<double>(config.grpo.sampling.group_size *
                                                    config.grpo.sampling.max_tokens);
  return work;
}

}  // namespace flame
