#include "base/text_wrap.h"

#include <gtest/gtest.h>

namespace flame {
namespace {

TEST(WrapText, LongLine_BreaksBetweenWords) {
  EXPECT_EQ(WrapText("one two three", 8), "one two\nthree\n");
  EXPECT_EQ(WrapText("one two three", 13), "one two three\n");
  EXPECT_EQ(WrapText("one two three", 12), "one two\nthree\n");
}

TEST(WrapText, Indent_CountsForTheWidth) {
  EXPECT_EQ(WrapText("one two", 8, 2), "  one\n  two\n");
  EXPECT_EQ(WrapText("one two", 9, 2), "  one two\n");
}

TEST(WrapText, WordLongerThanALine_HasALineOfItsOwn) {
  EXPECT_EQ(WrapText("a extraordinary b", 5), "a\nextraordinary\nb\n");
}

TEST(WrapText, LineBreaks_Stay) {
  EXPECT_EQ(WrapText("one\n\ntwo\n", 20), "one\n\ntwo\n");
  EXPECT_EQ(WrapText("", 20), "");
}

TEST(WrapColumns, Meanings_StandBelowEachOther) {
  EXPECT_EQ(WrapColumns({{"-a", "one two three"}, {"--long", "four"}}, 18),
            "  -a      one two\n"
            "          three\n"
            "  --long  four\n");
}

TEST(WrapColumns, NameWiderThanTheColumn_HasALineOfItsOwn) {
  EXPECT_EQ(WrapColumns({{"-a", "one"}, {"--a-name-of-more-than-24-columns", "two"}}, 40),
            "  -a  one\n"
            "  --a-name-of-more-than-24-columns\n"
            "      two\n");
}

}  // namespace
}  // namespace flame
