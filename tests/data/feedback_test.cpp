#include "data/feedback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Corpus ThreeVisits() {
  Corpus corpus;
  corpus.drugs = {{"DB0", "DB1", "DB2", "DB3"}, {"aspirin", "insulin", "heparin", "morphine"}};
  corpus.visits.resize(3);
  for (int v = 0; v < 3; ++v) corpus.visits[v].hadm = 100 + v;
  corpus.visits[1].drugs = {2, 0};
  return corpus;
}

class FeedbackTest : public ::testing::Test {
 protected:
  std::map<int32_t, Decision> Read(const std::string& text) const {
    WriteFileAtomically(folder_ / "f.jsonl", text);
    return ReadFeedback(folder_ / "f.jsonl", ThreeVisits());
  }
  std::string Refusal(const std::string& text) const {
    try {
      Read(text);
    } catch (const DataError& error) {
      return error.what();
    }
    return "read";
  }
  TemporaryFolder folder_;
};

TEST_F(FeedbackTest, Truth_IsWhatWasRecordedLessRemovedWithAcceptedAndAdded) {
  const auto feedback = Read(
      "{\"hadm\": 101, \"accepted\": [\"DB0\"], \"removed\": [\"DB2\"], \"added\": [\"DB3\"]}\n\n"
      "{\"hadm\": 102, \"added\": [\"DB1\"]}\n");
  ASSERT_EQ(feedback.size(), 2u);
  const Corpus corpus = WithFeedback(ThreeVisits(), feedback);
  EXPECT_THAT(corpus.visits[0].drugs, ElementsAre());
  EXPECT_THAT(corpus.visits[1].drugs, ElementsAre(0, 3));
  EXPECT_THAT(corpus.visits[2].drugs, ElementsAre(1));
}

TEST_F(FeedbackTest, Faults_AreNamedWithFileAndLine) {
  const std::string good = "{\"hadm\": 100, \"added\": [\"DB1\"]}\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"hadm\": 9, \"added\": [\"DB1\"]}", "hadm 9 is no visit"},
      {"{\"hadm\": \"101\", \"added\": [\"DB1\"]}", "expected 'hadm'"},
      {"{\"hadm\": 101, \"added\": [\"DB9\"]}", "\"DB9\""},
      {"{\"hadm\": 101, \"added\": \"DB1\"}", "expected a list"},
      {"{\"hadm\": 101, \"added\": [\"DB1\"], \"removed\": [\"DB1\"]}", "twice"},
      {"{\"hadm\": 101}", "names no drug"},
      {"{\"hadm\": 101, \"extra\": [\"DB1\"]}", "'extra' is not known"},
      {"{\"hadm\": 100, \"added\": [\"DB2\"]}", "second time"},
      {"nonsense", "JSON object"},
  };
  for (const auto& [line, word] : cases) {
    EXPECT_THAT(Refusal(good + line), AllOf(HasSubstr("f.jsonl: line 2: "), HasSubstr(word)));
  }
  EXPECT_THAT(Refusal("\n"), HasSubstr("holds no decision"));
}

}  // namespace
}  // namespace flame
