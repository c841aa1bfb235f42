#include "data/list_task.h"

#include <algorithm>
#include <map>

#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr int32_t kDrugs = 10;

Corpus CorpusOf(const std::vector<std::vector<int32_t>>& lists) {
  Corpus corpus;
  for (int32_t drug = 0; drug < kDrugs; ++drug) {
    corpus.drugs.codes.push_back("DB" + std::to_string(drug));
    corpus.drugs.titles.push_back("drug " + std::to_string(drug));
  }
  for (const auto& list : lists) {
    corpus.visits.emplace_back();
    corpus.visits.back().drugs = list;
  }
  return corpus;
}

// Returns scores with the given predicted drugs of each visit, the first with the highest score.
Scores ScoresOf(const std::vector<int32_t>& visits,
                const std::vector<std::vector<int32_t>>& predicted) {
  Scores scores{visits, std::vector<float>(visits.size() * kDrugs, 0.25f)};
  for (size_t i = 0; i < visits.size(); ++i) {
    float surety = 0.99f;
    for (int32_t drug : predicted[i]) scores.yes[i * kDrugs + drug] = surety -= 0.01f;
  }
  return scores;
}

TaskOptions Options(const std::string& errors, int64_t per_visit) {
  TaskOptions options;
  options.errors = errors;
  options.per_visit = per_visit;
  return options;
}

TEST(Scores, Predicted_AboveOneHalf) {
  Scores scores{{4, 5}, {0.5f, 0.51f, 0.0f, 1.0f, 0.2f, 0.9f}};
  EXPECT_THAT(scores.Predicted(0, 3), ElementsAre(1));
  EXPECT_THAT(scores.Predicted(1, 3), ElementsAre(0, 2));
}

TEST(BuildListTasks, HeaderExample_RealPrediction) {
  const Corpus corpus = CorpusOf({{}, {}, {}, {1, 5, 9}});
  const auto tasks = BuildListTasks(corpus, ScoresOf({3}, {{7, 5}}), {3}, Options("holdout", 2), 1);
  ASSERT_THAT(tasks, SizeIs(2));
  EXPECT_EQ(tasks[0].visit, 3);
  EXPECT_EQ(tasks[0].edit, Edit::kAdd);
  EXPECT_THAT(tasks[0].input, ElementsAre(7, 5)) << "by descending score";
  EXPECT_THAT(tasks[0].target, ElementsAre(1, 9));
  EXPECT_EQ(tasks[1].edit, Edit::kRemove);
  EXPECT_THAT(tasks[1].input, ElementsAre(7, 5));
  EXPECT_THAT(tasks[1].target, ElementsAre(7));
}

TEST(BuildListTasks, Targets_InTheOrderOfTheScores) {
  const Corpus corpus = CorpusOf({{9, 1, 5, 0}});
  Scores scores = ScoresOf({0}, {{8, 5, 2, 7}});
  scores.yes[1] = 0.45f, scores.yes[0] = 0.3f, scores.yes[9] = 0.1f;
  const auto tasks = BuildListTasks(corpus, scores, {0}, Options("crossfit", 4), 1);
  EXPECT_THAT(tasks[0].target, ElementsAre(1, 0, 9)) << "to add: surest first";
  EXPECT_THAT(tasks[1].target, ElementsAre(7, 2, 8)) << "to remove: least sure first";
  // The corrupted list is another one, but its targets are in the same order.
  std::vector<int32_t> add = {5, 1, 0, 9}, remove = {7, 2, 8};
  std::erase_if(add, [&](int32_t drug) {
    return std::count(tasks[2].input.begin(), tasks[2].input.end(), drug) > 0;
  });
  std::erase_if(remove, [&](int32_t drug) {
    return std::count(tasks[3].input.begin(), tasks[3].input.end(), drug) == 0;
  });
  EXPECT_EQ(tasks[2].target, add);
  EXPECT_EQ(tasks[3].target, remove);
}

TEST(BuildListTasks, VisitWithoutScores_TargetsInItsOwnOrder) {
  const Corpus corpus = CorpusOf({{0, 1, 2}, {2, 0, 1}});
  const auto tasks = BuildListTasks(corpus, ScoresOf({0}, {{3}}), {1}, Options("train", 2), 1);
  EXPECT_THAT(tasks[0].target, ElementsAre(2, 0, 1)) << "all three are missed, as in visit 0";
}

// Every task is consistent, and its counts of misses and extras are those of a visit's errors.
TEST(BuildListTasks, Train_CorruptsAsTheClassifierErrs) {
  // Both visits have three drugs. The first misses drug 0 and has no extra; the second misses drugs
  // 4 and 5 and has the extra 9.
  const Corpus corpus = CorpusOf({{0, 1, 2}, {3, 4, 5}, {0, 4, 5}});
  const Scores scores = ScoresOf({0, 1}, {{1, 2}, {3, 9}});
  const auto tasks = BuildListTasks(corpus, scores, {2}, Options("train", 400), 7);
  ASSERT_THAT(tasks, SizeIs(400));
  std::map<std::pair<size_t, size_t>, int> pairs;
  for (size_t i = 0; i < tasks.size(); i += 2) {
    const ListTask &add = tasks[i], &remove = tasks[i + 1];
    ASSERT_EQ(add.edit, Edit::kAdd);
    ASSERT_EQ(remove.edit, Edit::kRemove);
    ASSERT_EQ(add.input, remove.input);
    std::vector<int32_t> truth = add.target;
    for (int32_t drug : add.input) {
      if (std::count(remove.target.begin(), remove.target.end(), drug) == 0) truth.push_back(drug);
    }
    EXPECT_THAT(truth, UnorderedElementsAre(0, 4, 5));
    ++pairs[{add.target.size(), remove.target.size()}];
    EXPECT_EQ(std::count(remove.target.begin(), remove.target.end(), 9),
              static_cast<int64_t>(remove.target.size()));
  }
  ASSERT_THAT(pairs, SizeIs(2));
  EXPECT_GT((pairs[{1, 0}]), 60) << "expected about 100 of 200";
  EXPECT_GT((pairs[{2, 1}]), 60);
}

TEST(BuildListTasks, DropsInProportionToMisses) {
  // Drug 0 was missed three times, drug 1 once, drug 2 never; one miss in each visit.
  const Corpus corpus = CorpusOf({{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}});
  const Scores scores = ScoresOf({0, 1, 2, 3}, {{1, 2}, {1, 2}, {1, 2}, {0, 2}});
  std::map<int32_t, int> dropped;
  for (const ListTask& task : BuildListTasks(corpus, scores, {0}, Options("train", 4000), 3)) {
    if (task.edit == Edit::kAdd) ++dropped[task.target.at(0)];
  }
  EXPECT_EQ(dropped.count(2), 0u);
  EXPECT_NEAR(dropped[0] / 2000.0, 0.75, 0.05);  // five standard deviations
}

TEST(BuildListTasks, CorruptedInputs_InEveryOrder) {
  const Corpus corpus = CorpusOf({{0, 1, 2}});
  std::map<std::vector<int32_t>, int> orders;
  const Scores scores = ScoresOf({0}, {{1, 2}});
  for (const ListTask& task : BuildListTasks(corpus, scores, {0}, Options("train", 100), 3)) {
    ++orders[task.input];
  }
  EXPECT_THAT(orders, SizeIs(2));
}

TEST(BuildListTasks, LengthUnseen_NearestOneUsed) {
  // Lists of length 1 err by one miss, those of length 5 by one extra. Length 2 is nearer to 1,
  // length 4 nearer to 5; length 3 is a tie and goes to 1.
  const Corpus corpus =
      CorpusOf({{0}, {0, 1, 2, 3, 4}, {0, 5}, {0, 1, 2, 3}, {0, 1, 2}, {0, 1, 2, 3, 4, 5, 6}});
  const Scores scores = ScoresOf({0, 1}, {{}, {0, 1, 2, 3, 4, 9}});
  const auto tasks = BuildListTasks(corpus, scores, {2, 3, 4, 5}, Options("train", 2), 3);
  EXPECT_THAT(tasks[0].target, ElementsAre(0));
  EXPECT_THAT(tasks[1].target, ElementsAre());
  EXPECT_THAT(tasks[2].target, ElementsAre());
  EXPECT_THAT(tasks[3].target, ElementsAre(9));
  EXPECT_THAT(tasks[4].target, ElementsAre(0));
  EXPECT_THAT(tasks[7].target, ElementsAre(9));
}

TEST(BuildListTasks, PerVisit_RealPairThenCorrupted) {
  const Corpus corpus = CorpusOf({{0, 1, 2}, {3, 4, 5}});
  const Scores scores = ScoresOf({0, 1}, {{1, 2}, {3, 9}});
  const auto tasks = BuildListTasks(corpus, scores, {0, 1}, Options("holdout", 5), 3);
  ASSERT_THAT(tasks, SizeIs(10));
  EXPECT_THAT(tasks[0].input, ElementsAre(1, 2));
  EXPECT_THAT(tasks[5].input, ElementsAre(3, 9));
  EXPECT_EQ(tasks[4].edit, Edit::kAdd) << "an odd last one asks to add";
}

TEST(BuildListTasks, SameSeed_SameTasksWhateverElseIsBuilt) {
  const Corpus corpus = CorpusOf({{0, 1, 2}, {3, 4, 5}, {0, 4, 5}});
  const Scores scores = ScoresOf({0, 1}, {{1, 2}, {3, 9}});
  const auto all = BuildListTasks(corpus, scores, {0, 1, 2}, Options("train", 20), 7);
  const auto last = BuildListTasks(corpus, scores, {2}, Options("train", 20), 7);
  const auto other = BuildListTasks(corpus, scores, {2}, Options("train", 20), 8);
  bool differs = false;
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(all[40 + i].input, last[i].input);
    differs |= other[i].input != last[i].input;
  }
  EXPECT_TRUE(differs);
}

TEST(BuildListTasks, BadScores_Named) {
  const Corpus corpus = CorpusOf({{0}, {1}});
  const auto message = [&](const Scores& scores, const char* errors) {
    return MessageOf([&] { BuildListTasks(corpus, scores, {1}, Options(errors, 2), 1); });
  };
  EXPECT_THAT(message(Scores(), "train"), HasSubstr("scores of at least one visit"));
  EXPECT_THAT(message(ScoresOf({0}, {{}}), "holdout"),
              HasSubstr("tasks.errors: holdout needs the classifier's scores of visit 1"));
  EXPECT_THAT(message(ScoresOf({2}, {{}}), "train"), HasSubstr("the corpus has visits 0..1"));
  EXPECT_THAT(message({{0}, {0.5f}}, "train"), HasSubstr("expected one for each of 10 drugs"));
}

class ListTaskFile : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "file.h5";
};

TEST_F(ListTaskFile, Tasks_WrittenAndReadSame) {
  WriteListTasks({{3, Edit::kAdd, {5, 7}, {1, 9}}, {4, Edit::kRemove, {}, {}}}, path_);
  const auto tasks = ReadListTasks(path_);
  ASSERT_THAT(tasks, SizeIs(2));
  EXPECT_EQ(tasks[0].visit, 3);
  EXPECT_EQ(tasks[0].edit, Edit::kAdd);
  EXPECT_THAT(tasks[0].input, ElementsAre(5, 7));
  EXPECT_THAT(tasks[0].target, ElementsAre(1, 9));
  EXPECT_EQ(tasks[1].edit, Edit::kRemove);
  EXPECT_THAT(tasks[1].input, ElementsAre());
}

TEST_F(ListTaskFile, BadTask_Named) {
  WriteListTasks({{3, static_cast<Edit>(2), {5}, {}}}, path_);
  EXPECT_THAT(MessageOf([&] { ReadListTasks(path_); }),
              HasSubstr("task 0 is of visit 3 and edit 2"));
  WriteListTasks({{3, Edit::kAdd, {-5}, {}}}, path_);
  EXPECT_THAT(MessageOf([&] { ReadListTasks(path_); }), HasSubstr("input of row 0 holds index -5"));
}

TEST_F(ListTaskFile, Scores_WrittenAsMatrix) {
  const Scores scores = ScoresOf({3, 8}, {{1, 2}, {}});
  WriteScores(scores, kDrugs, path_);
  CheckSeal(path_);
  const Hdf5File file = Hdf5File::OpenForReading(path_);
  EXPECT_EQ(file.Read<int32_t>("visits"), scores.visits);
  EXPECT_THAT(file.Shape("yes"), ElementsAre(2, kDrugs));
  EXPECT_EQ(file.Read<float>("yes"), scores.yes);
  EXPECT_THAT(MessageOf([&] { ReadListTasks(path_); }),
              HasSubstr("schema is 'flame.scores/1'; this program reads 'flame.tasks/1'"));
}

}  // namespace
}  // namespace flame
