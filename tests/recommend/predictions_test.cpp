#include "recommend/evaluation/predictions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class PredictionsTest : public testing::Test {
 protected:
  PredictionsTest() {
    corpus_.drugs = {{"DB1", "DB2", "DB3"}, {"Aspirin", "Warfarin", "Insulin"}};
    for (const int64_t hadm : {11, 12, 13}) corpus_.visits.emplace_back().hadm = hadm;
  }
  ~PredictionsTest() override { std::filesystem::remove(file_); }

  // Reads the predictions of the visits 12 and 13.
  Predictions Read(const std::string& text) const {
    WriteFileAtomically(file_, text);
    return ReadPredictions(file_, corpus_, {1, 2});
  }
  std::string ErrorOf(const std::string& text) const {
    try {
      Read(text);
    } catch (const DataError& error) {
      return error.what();
    }
    return "none";
  }

  Corpus corpus_;
  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / StrCat("predictions-", getpid(), ".jsonl");
};

TEST_F(PredictionsTest, Lines_InAnyOrder_OtherVisitsIgnored) {
  const Predictions read = Read(R"({"hadm_id": 13, "drugs": []})"
                                "\n\n"
                                R"({"drugs": ["DB1"], "hadm_id": 11})"
                                "\n"
                                R"({"hadm_id": 12, "drugs": ["DB3", "DB1"]})");
  EXPECT_THAT(read.drugs, ElementsAre(ElementsAre(0, 2), ElementsAre()));
  EXPECT_TRUE(read.scores.empty());
}

TEST_F(PredictionsTest, Scores_AreRanks_DrugsWithoutOneComeLast) {
  const Predictions read =
      Read(R"({"hadm_id": 12, "drugs": ["DB3"], "scores": {"DB3": 0.5, "DB1": -2}})"
           "\n"
           R"({"hadm_id": 13, "drugs": [], "scores": {}})");
  EXPECT_THAT(read.scores, ElementsAre(0, -1, 1, -1, -1, -1));
  // The first three are equal or zero as float32 numbers.
  const Predictions close = Read(
      R"({"hadm_id": 12, "drugs": [], "scores": {"DB3": 0.99999999991, "DB1": 0.9999999999, "DB2": 1e-60}})"
      "\n"
      R"({"hadm_id": 13, "drugs": [], "scores": {"DB3": 2, "DB1": 2, "DB2": 3}})");
  EXPECT_THAT(close.scores, ElementsAre(1, 0, 2, 3, 4, 3));
}

TEST_F(PredictionsTest, Written_ReadsTheSame) {
  WritePredictions(file_, corpus_, {1, 2}, {{1}, {0, 2}}, {});
  EXPECT_THAT(ReadPredictions(file_, corpus_, {1, 2}).drugs,
              ElementsAre(ElementsAre(1), ElementsAre(0, 2)));
}

TEST_F(PredictionsTest, WrongLine_NamesFileLineAndCause) {
  const std::string right = R"({"hadm_id": 12, "drugs": ["DB3"]})"
                            "\n";
  const struct {
    std::string line, says;
  } cases[] = {
      {"nonsense", "found 'nonsense'"},
      {R"({"hadm_id": 13, "drugs": ["DB3"], "score": 1})", "'score' is not known"},
      {R"({"drugs": ["DB3"]})", "'hadm_id' is missing"},
      {R"({"hadm_id": "13", "drugs": ["DB3"]})", "'hadm_id' is \"13\"; expected a whole number"},
      {R"({"hadm_id": 99, "drugs": ["DB3"]})", "HADM_ID 99 is no visit of the corpus"},
      {R"({"hadm_id": 12, "drugs": []})", "HADM_ID 12 has a line before"},
      {R"({"hadm_id": 13})", "'drugs' is missing"},
      {R"({"hadm_id": 13, "drugs": "DB3"})", "'drugs' is \"DB3\"; expected a list"},
      {R"({"hadm_id": 13, "drugs": ["Aspirin"]})", "drug \"Aspirin\" is not in the corpus"},
      {R"({"hadm_id": 13, "drugs": [0]})",
       "drug 0 is not in the corpus; expected codes such as 'DB1'"},
      {R"({"hadm_id": 13, "drugs": ["DB3", "DB3"]})", "drug 'DB3' is there twice"},
      {R"({"hadm_id": 13, "drugs": ["DB3"], "drugs": []})", "'drugs' is there twice"},
      {R"({"hadm_id": 13, "drugs": [], "scores": {"DB1": 1}})",
       "has scores, unlike the lines before"},
  };
  for (const auto& [line, says] : cases) {
    EXPECT_THAT(ErrorOf(right + line),
                AllOf(HasSubstr(file_.string() + ", line 2: "), HasSubstr(says)));
  }
  EXPECT_THAT(ErrorOf(R"({"hadm_id": 13, "drugs": [], "scores": {"DB1": "1"}})"),
              HasSubstr("the score of 'DB1' is \"1\""));
  EXPECT_THAT(ErrorOf(R"({"hadm_id": 13, "drugs": [], "scores": [1]})"),
              HasSubstr("expected an object"));
}

TEST_F(PredictionsTest, MissingVisit_IsNamed) {
  EXPECT_THAT(ErrorOf(R"({"hadm_id": 12, "drugs": []})"),
              HasSubstr("no line of HADM_ID 13; 1 of 2 visits are missing"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no line of HADM_ID 12; 2 of 2 visits are missing"));
}

}  // namespace
}  // namespace flame
