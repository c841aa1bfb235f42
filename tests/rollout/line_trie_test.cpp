#include "rollout/line_trie.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kEnd = 2;
using Lines = std::vector<std::vector<int32_t>>;

TEST(LineTrie, AllowedAlong_IsWhatTheLinesHaveThere) {
  const LineTrie trie({{7, 8, 1}, {7, 9, 1}, {5, 1}, {7, 8, 1}}, kEnd);
  const auto along = trie.AllowedAlong({7, 9, 1, 5, 1, kEnd});
  ASSERT_EQ(along.size(), 6u);
  EXPECT_THAT(*along[0], ElementsAre(kEnd, 5, 7));
  EXPECT_THAT(*along[1], ElementsAre(8, 9));
  EXPECT_THAT(*along[2], ElementsAre(1));
  EXPECT_THAT(*along[3], ElementsAre(kEnd, 5, 7));
  EXPECT_THAT(*along[4], ElementsAre(1));
  EXPECT_THAT(*along[5], ElementsAre(kEnd, 5, 7));
  EXPECT_TRUE(trie.AllowedAlong({}).empty());
}

TEST(LineTrie, CompletionOfOtherLines_NamesTheToken) {
  const LineTrie trie({{7, 8, 1}}, kEnd);
  for (const std::vector<int32_t>& tokens : Lines{{7, 9}, {7, kEnd}, {kEnd, 7}, {8}}) {
    EXPECT_THROW(trie.AllowedAlong(tokens), DataError);
  }
  try {
    trie.AllowedAlong({7, 8, 1, 9});
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("token 3 of a completion is 9"));
  }
}

TEST(LineTrie, LinesThatDoNotEndClearly_AreRefused) {
  for (const Lines& lines :
       {Lines{}, Lines{{}}, Lines{{7, kEnd}}, Lines{{7}, {7, 8}}, Lines{{7, 8}, {7}}}) {
    EXPECT_THROW(LineTrie(lines, kEnd), DataError);
  }
}

}  // namespace
}  // namespace flame
