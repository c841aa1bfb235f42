#include "launch/plan/work.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "launch/config/run_paths.h"
#include "launch/run/run_materials.h"
#include "recommend/classifier_examples.h"
#include "recommend/list_examples.h"
#include "recommend/prompt_lengths.h"
#include "rollout/completion.h"
#include "trainer/data_order.h"
#include "trainer/micro_batch.h"
#include "trainer/sft/sft_order.h"

namespace flame {
namespace {

// Assumed lengths in tokens, and number of candidates, if nothing is prepared yet.
constexpr int64_t kTrunk = 400, kCandidate = 12, kCandidates = 150, kQuestion = 80, kAnswer = 60;
constexpr int64_t kFamilies = 2048;  // number of families to walk, rounded to whole steps

Family MadeFamily(int64_t trunk, int64_t branches, int64_t asked_from, int64_t tokens) {
  Family family{std::vector<int32_t>(trunk), {}};
  for (int64_t b = 0; b < branches; ++b) {
    family.branches.push_back({std::vector<int32_t>(tokens), static_cast<int32_t>(asked_from)});
  }
  return family;
}

// The steps of a training as its learners get them.
struct Course {
  int64_t steps = 0, a_step = 1;                     // number of steps (0: unknown); families each
  std::function<std::vector<Family>(int64_t)> step;  // returns all families of a step
  bool by_length = true;  // true: learners share a step as in RunSft; false: as in RunGrpo
  int64_t walked() const {
    return std::clamp<int64_t>(kFamilies / a_step, 1, std::max<int64_t>(steps, 1));
  }
};

// Returns a course that repeats one family.
Course Assumed(Family family, int64_t a_step) {
  Course course;
  course.a_step = a_step;
  course.step = [family = std::move(family), a_step](int64_t) {
    return std::vector<Family>(a_step, family);
  };
  return course;
}

Course SftCourse(const SftOptions& options, uint64_t seed, int64_t examples,
                 std::function<Family(int64_t example, int64_t epoch)> at) {
  auto order = std::make_shared<SftOrder>(
      SftOrderOptions{seed, examples, options.batch, options.sort_window},
      [at](int64_t example) { return at(example, 0).NumTokens(); });
  Course course;
  course.steps = options.epochs * order->StepsPerEpoch();
  course.a_step = options.batch;
  course.step = [order, at](int64_t step) {
    std::vector<Family> families;
    for (const int64_t example : order->Step(step)) {
      families.push_back(at(example, step / order->StepsPerEpoch()));
    }
    return families;
  };
  return course;
}

// The parts of a run that a plan reads; empty if the stages before have not run.
struct Prepared {
  std::unique_ptr<Materials> materials;
  std::vector<ListTask> tasks;
};

Prepared ReadPrepared(const Config& config) {
  const RunPaths paths(config.run.dir);
  Prepared prepared;
  if (!std::filesystem::exists(paths.corpus()) || !std::filesystem::is_directory(paths.base())) {
    return prepared;
  }
  prepared.materials = MaterialsOfRun(config);
  if (std::filesystem::exists(paths.tasks())) prepared.tasks = ReadListTasks(paths.tasks());
  return prepared;
}

Course ClassifierCourse(const Config& config, const Prepared& prepared, StageWork* work) {
  if (prepared.materials == nullptr) {
    work->basis.push_back(StrCat("no corpus in run.dir: assumed ", kTrunk, " tokens per patient, ",
                                 kCandidates, " candidates of ", kCandidate, " tokens"));
    return Assumed(MadeFamily(kTrunk, kCandidates, kCandidate, kCandidate + 1),
                   config.classifier.batch);
  }
  const Materials& materials = *prepared.materials;
  CheckClassifierLengths(materials, MaxPositions(config));
  auto visits = std::make_shared<std::vector<int32_t>>(
      SplitTraining(config.tasks, materials.corpus, config.run.seed).classifier);
  ClassifierOptions options = config.classifier;
  options.teacher_share = 0;  // changes no length
  auto examples = std::make_shared<ClassifierExamples>(*materials.prompts, materials.corpus,
                                                       *visits, options, config.run.seed);
  return SftCourse(config.classifier, config.run.seed, examples->size(),
                   [visits, examples](int64_t example, int64_t epoch) {
                     return examples->At(example, epoch).family;
                   });
}

Family AssumedTasks(const Config& config, StageWork* work) {
  work->basis.push_back(StrCat("no list tasks in run.dir: assumed ", kTrunk,
                               " tokens per patient, ", kQuestion, " per question, ", kAnswer,
                               " per answer"));
  return MadeFamily(kTrunk, config.tasks.per_visit, kQuestion, kQuestion + kAnswer);
}

Course ListCourse(const Config& config, const Prepared& prepared, StageWork* work) {
  if (prepared.tasks.empty()) return Assumed(AssumedTasks(config, work), config.list.batch);
  CheckListLengths(*prepared.materials, prepared.tasks, MaxPositions(config));
  auto tasks = std::make_shared<std::vector<std::vector<ListTask>>>(TasksByVisit(prepared.tasks));
  const PromptBuilder& prompts = *prepared.materials->prompts;
  return SftCourse(config.list, config.run.seed, static_cast<int64_t>(tasks->size()),
                   [tasks, &prompts](int64_t example, int64_t) {
                     return ListFamily(prompts, (*tasks)[example]);
                   });
}

// Returns a course of groups whose completions all have max_tokens tokens.
Course GrpoCourse(const Config& config, const Prepared& prepared, StageWork* work) {
  const SamplingOptions& sampling = config.grpo.sampling;
  work->basis.push_back(
      StrCat("every completion counted as grpo.max_tokens = ", sampling.max_tokens, " tokens"));
  const auto group = [sampling](int64_t prompt) {
    return MadeFamily(prompt, sampling.group_size, 0, sampling.max_tokens);
  };
  Course course;
  if (prepared.tasks.empty()) {
    const Family list = AssumedTasks(config, work);
    course = Assumed(group(kTrunk + list.branches[0].loss_from), config.grpo.tasks);
  } else {
    CheckCompletionLengths(*prepared.materials, prepared.tasks, sampling.max_tokens,
                           MaxPositions(config));
    auto order =
        std::make_shared<DataOrder>(config.run.seed, static_cast<int64_t>(prepared.tasks.size()));
    course.step = [order, group, &config, &prepared](int64_t step) {
      const PromptBuilder& prompts = *prepared.materials->prompts;
      std::vector<Family> families;
      for (int64_t i = 0; i < config.grpo.tasks; ++i) {
        const ListTask& task = prepared.tasks[order->At(step * config.grpo.tasks + i)];
        families.push_back(
            group(static_cast<int64_t>(prompts.ListTrunk(task.visit).size() +
                                       prompts.ListQuestion(task.input, task.edit).size())));
      }
      return families;
    };
    course.a_step = config.grpo.tasks;
  }
  course.steps = config.grpo.steps;
  course.by_length = false;
  return course;
}

// Returns the number of pairs of a query and a key that attention computes.
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

std::vector<Family> ShareOfLearner(const Course& course, const std::vector<Family>& step, int rank,
                                   int learners) {
  if (course.by_length) return ShareOf(step, rank, learners);
  std::vector<Family> share;
  for (size_t g = rank; g < step.size(); g += learners) share.push_back(step[g]);
  return share;
}

void CountLearner(const std::vector<Family>& share, int64_t budget, StageWork* work) {
  for (const MicroBatch& cut : CutMicroBatches(share, budget)) {
    const FamilyBatch batch = PackFamilies(cut.families);
    const PassShape shape = ShapeOf(batch);
    if (shape.tokens > work->largest.tokens) work->largest = shape;
    work->tokens += static_cast<double>(shape.tokens);
    work->asked += static_cast<double>(shape.asked);
    work->targets += static_cast<double>(shape.targets);
    work->pairs += PairsOf(batch);
  }
}

// Counts the prompts of the rollout ranks, batched as in rollout/completion.cpp.
void CountPrompts(const std::vector<Family>& step, int64_t rollouts, StageWork* work) {
  for (int64_t rank = 0; rank < rollouts; ++rank) {
    const auto count = static_cast<int64_t>(step.size());
    const int64_t begin = count * rank / rollouts, end = count * (rank + 1) / rollouts;
    work->prompts = std::max(work->prompts, end - begin);
    int64_t together = 0;
    for (int64_t i = begin; i < end; ++i) {
      const auto size = static_cast<int64_t>(step[i].trunk.size());
      if (together > 0 && together + size > kPrefillTokens) together = 0;
      together += size;
      work->prefill_tokens = std::max(work->prefill_tokens, together);
      work->longest_prompt = std::max(work->longest_prompt, size);
      work->prompt_tokens += static_cast<double>(size);
    }
  }
}

void Walk(const Course& course, int64_t budget, int64_t learners, int64_t rollouts,
          StageWork* work) {
  work->steps = course.steps;
  const int64_t walked = course.walked();
  for (int64_t step = 0; step < walked; ++step) {
    const std::vector<Family> families = course.step(step);
    size_t passes = 0;
    double busiest = 0;
    for (int64_t rank = 0; rank < learners; ++rank) {
      const auto share =
          ShareOfLearner(course, families, static_cast<int>(rank), static_cast<int>(learners));
      passes = std::max(passes, CutMicroBatches(share, budget).size());
      const double before = work->tokens;
      CountLearner(share, budget, work);
      busiest = std::max(busiest, work->tokens - before);
    }
    work->busiest_tokens += busiest;
    work->passes += static_cast<double>(passes);
    if (!course.by_length) CountPrompts(families, rollouts, work);
  }
  for (double* sum : {&work->tokens, &work->asked, &work->targets, &work->passes, &work->pairs,
                      &work->prompt_tokens, &work->busiest_tokens}) {
    *sum /= static_cast<double>(walked);
  }
}

}  // namespace

StageWork WorkOf(const Config& config, const std::string& stage, int64_t learners,
                 int64_t rollouts) {
  const Prepared prepared = ReadPrepared(config);
  StageWork work;
  Course course;
  int64_t budget = config.grpo.token_budget;
  if (stage == "classifier") {
    course = ClassifierCourse(config, prepared, &work);
    budget = config.classifier.token_budget;
  } else if (stage == "list") {
    course = ListCourse(config, prepared, &work);
    budget = config.list.token_budget;
  } else {
    course = GrpoCourse(config, prepared, &work);
    const SamplingOptions& sampling = config.grpo.sampling;
    work.sampled_tokens =
        static_cast<double>(config.grpo.tasks * sampling.group_size * sampling.max_tokens);
  }
  if (work.basis.empty() || prepared.materials != nullptr) {
    work.basis.push_back(StrCat("lengths of the first ", course.walked(), " of ", course.steps,
                                " steps, as they would run"));
  }
  Walk(course, budget, learners, std::max<int64_t>(rollouts, 1), &work);
  return work;
}

}  // namespace flame
