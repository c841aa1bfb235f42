#include "reward/segmentation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Texts(const Lines& lines) {
  std::vector<std::string> texts;
  for (const Line& line : lines.lines) texts.push_back(line.text);
  return texts;
}

std::vector<int32_t> LastTokens(const Lines& lines) {
  std::vector<int32_t> tokens;
  for (const Line& line : lines.lines) tokens.push_back(line.last_token);
  return tokens;
}

TEST(SplitLines, LineBreakOfItsOwn_BelongsToTheLineItEnds) {
  const Lines lines = SplitLines({"as", "pirin", "\n", "x", "\n"});
  EXPECT_THAT(Texts(lines), ElementsAre("aspirin", "x"));
  EXPECT_THAT(lines.line_of_token, ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(LastTokens(lines), ElementsAre(2, 4));
}

TEST(SplitLines, TokenAcrossTwoLines_BelongsToTheLineOfItsFirstByte) {
  const Lines lines = SplitLines({"as", "pirin", "\nfoo", "\n"});
  EXPECT_THAT(Texts(lines), ElementsAre("aspirin", "foo"));
  EXPECT_THAT(lines.line_of_token, ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(LastTokens(lines), ElementsAre(2, 3));
}

TEST(SplitLines, TokenOfSeveralLines_EndsThemAll) {
  const Lines lines = SplitLines({"a\nb\nc", "d"});
  EXPECT_THAT(Texts(lines), ElementsAre("a", "b", "cd"));
  EXPECT_THAT(lines.line_of_token, ElementsAre(0, 2));
  EXPECT_THAT(LastTokens(lines), ElementsAre(0, 0, 1));
}

TEST(SplitLines, LastLineWithoutBreak_IsALine) {
  EXPECT_THAT(Texts(SplitLines({"a", "\n", "b"})), ElementsAre("a", "b"));
  EXPECT_THAT(Texts(SplitLines({"a", "\n"})), ElementsAre("a"));
  EXPECT_THAT(Texts(SplitLines({" "})), ElementsAre(" "));
  EXPECT_THAT(Texts(SplitLines({})), IsEmpty());
}

TEST(SplitLines, BlankLines_AreLines) {
  const Lines lines = SplitLines({"\n", "\n\n", "a"});
  EXPECT_THAT(Texts(lines), ElementsAre("", "", "", "a"));
  EXPECT_THAT(lines.line_of_token, ElementsAre(0, 1, 3));
}

TEST(SplitLines, TokensOfNoBytes_GoWithTheNextByte) {
  const Lines lines = SplitLines({"", "a", "\n", "", "b", ""});
  EXPECT_THAT(Texts(lines), ElementsAre("a", "b"));
  EXPECT_THAT(lines.line_of_token, ElementsAre(0, 0, 0, 1, 1, -1));
  EXPECT_THAT(LastTokens(lines), ElementsAre(2, 4));
  EXPECT_THAT(SplitLines({"", ""}).line_of_token, ElementsAre(-1, -1));
  EXPECT_THAT(SplitLines({"a\n", ""}).line_of_token, ElementsAre(0, -1));
}

// Returns three lines: "a" in tokens 0-1, "b" in 2-3, "c" in 4 (unended); token 5 has no bytes.
Lines ThreeLines() { return SplitLines({"a", "\n", "b", "\n", "c", ""}); }

TEST(AssignSteps, Drug_IsALineAStep) {
  const Steps steps = AssignSteps(ThreeLines(), ParseSegmentation("drug"));
  EXPECT_EQ(steps.num_steps, 3);
  EXPECT_THAT(steps.step_of_line, ElementsAre(1, 2, 3));
  EXPECT_THAT(steps.step_of_token, ElementsAre(1, 1, 2, 2, 3, -1));
}

TEST(AssignSteps, Chunk_IsKLinesAStep) {
  const Steps steps = AssignSteps(ThreeLines(), ParseSegmentation("chunk:2"));
  EXPECT_EQ(steps.num_steps, 2);
  EXPECT_THAT(steps.step_of_line, ElementsAre(1, 1, 2));
  EXPECT_THAT(steps.step_of_token, ElementsAre(1, 1, 1, 1, 2, -1));
}

TEST(AssignSteps, Token_MovesPhiWhereTheLineEnds) {
  const Steps steps = AssignSteps(ThreeLines(), ParseSegmentation("token"));
  EXPECT_EQ(steps.num_steps, 6);
  EXPECT_THAT(steps.step_of_line, ElementsAre(2, 4, 5));
  EXPECT_THAT(steps.step_of_token, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(AssignSteps, List_IsOneStepWithEveryLine) {
  const Steps steps = AssignSteps(ThreeLines(), ParseSegmentation("list"));
  EXPECT_EQ(steps.num_steps, 1);
  EXPECT_THAT(steps.step_of_line, ElementsAre(1, 1, 1));
  EXPECT_THAT(steps.step_of_token, ElementsAre(1, 1, 1, 1, 1, -1));
}

TEST(AssignSteps, NoLines_NoSteps) {
  for (const char* kind : {"drug", "chunk:3", "token", "list"}) {
    EXPECT_EQ(AssignSteps(SplitLines({}), ParseSegmentation(kind)).num_steps, 0) << kind;
  }
}

TEST(AssignSteps, MoreStepsThanInt16_AreRefused) {
  const Lines lines = SplitLines(std::vector<std::string_view>(32768, "\n"));
  EXPECT_THROW(AssignSteps(lines, ParseSegmentation("drug")), DataError);
  EXPECT_EQ(AssignSteps(lines, ParseSegmentation("chunk:2")).num_steps, 16384);
}

TEST(ParseSegmentation, AnythingElse_IsAUsageError) {
  for (const char* text :
       {"", "drugs", "chunk:", "chunk:0", "chunk:-1", "chunk:2x", "chunk:99999999999"}) {
    EXPECT_THROW(ParseSegmentation(text), UsageError) << text;
  }
}

}  // namespace
}  // namespace flame
