#include "data/tables/csv_scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace flame {
namespace {

using testing::ElementsAre;

using Rows = std::vector<std::vector<std::string>>;

// Scans a text that is read in pieces of at most `piece` bytes.
Rows Scan(const std::string& text, size_t piece, CsvScanner::Status* end) {
  size_t at = 0;
  CsvScanner scanner([&](char* out, size_t size) {
    const size_t read = std::min({size, piece, text.size() - at});
    std::memcpy(out, text.data() + at, read);
    at += read;
    return read;
  });
  Rows rows;
  CsvScanner::Block block;
  do {
    scanner.Next(&block);
    size_t field = 0;
    for (const size_t behind : block.ends) {
      std::vector<std::string>& row = rows.emplace_back();
      for (; field < behind; ++field) {
        row.emplace_back(block.fields[field].Text());
        EXPECT_EQ(block.fields[field].Text(), row.back()) << "undone once";
      }
    }
    EXPECT_EQ(field, block.fields.size());
  } while (block.status == CsvScanner::Status::kMore);
  *end = block.status;
  return rows;
}

Rows Scan(const std::string& text) {
  CsvScanner::Status end = CsvScanner::Status::kMore;
  Rows rows = Scan(text, 1 << 20, &end);
  EXPECT_EQ(end, CsvScanner::Status::kEnd);
  return rows;
}

TEST(CsvScanner, FieldsOfEveryKind) {
  EXPECT_THAT(Scan("a,b\r\n\r\n\n1,\n\"x,\n\"\"y\"\"\",\"\"\r,\"q\"\n6\" tube,\"last\""),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1", ""), ElementsAre("x,\n\"y\"", ""),
                          ElementsAre("", "q"), ElementsAre("6\" tube", "last")));
  EXPECT_THAT(Scan(""), ElementsAre());
  EXPECT_THAT(Scan("\"\"\n"), ElementsAre(ElementsAre(""))) << "an empty field in quotes is a row";
}

TEST(CsvScanner, FieldsOfEveryLength) {
  std::string text;
  Rows expected;
  for (size_t length = 0; length < 300; ++length) {
    const std::string field(length, static_cast<char>('a' + length % 26));
    expected.push_back({"first", field, "second\n", field + "x"});
    text += "first," + field + ",\"second\n\"," + field + "x" + (length % 2 ? "\n" : "\r\n");
  }
  EXPECT_EQ(Scan(text), expected);
  CsvScanner::Status end = CsvScanner::Status::kMore;
  EXPECT_EQ(Scan(text, 67, &end), expected);
}

TEST(CsvScanner, EndWithoutABreak_NothingOfTheBlockBefore) {
  std::string text;
  while (text.size() < 3 << 19) text += "some,row\n";
  text += "the,end";
  EXPECT_THAT(Scan(text).back(), ElementsAre("the", "end"));
}

TEST(CsvScanner, OpenQuote_IsTold) {
  CsvScanner::Status end = CsvScanner::Status::kMore;
  EXPECT_THAT(Scan("a\n\"cut \"\"", 100, &end), ElementsAre(ElementsAre("a")));
  EXPECT_EQ(end, CsvScanner::Status::kOpenQuote);
}

TEST(CsvScanner, TextBehindAClosingQuote_IsTold) {
  for (const char* text : {"a\n1,\"q\"z\n", "a\n1,\"q\" \n", "a\n1,\"x,\n2,\"Warfarin\"\n"}) {
    CsvScanner::Status end = CsvScanner::Status::kMore;
    EXPECT_THAT(Scan(text, 1, &end), ElementsAre(ElementsAre("a"))) << text;
    EXPECT_EQ(end, CsvScanner::Status::kBehindQuote);
  }
}

// What is read does not depend on where the blocks end, byte by byte of the smallest ones.
TEST(CsvScanner, AnyText_SameRowsFromAnyBlocks) {
  std::mt19937 random(5);
  const char bytes[] = "ab,,\"\"\n\r";
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += bytes[random() % 8];
    CsvScanner::Status whole = CsvScanner::Status::kMore, pieces = whole;
    const Rows rows = Scan(text, 1 << 20, &whole);
    EXPECT_EQ(Scan(text, 1, &pieces), rows) << testing::PrintToString(text);
    EXPECT_EQ(whole, pieces);
  }
}

TEST(CsvScanner, RowsLongerThanABlock) {
  const std::string note(9 << 20, 'x');
  const Rows rows = Scan("A,B\n1,\"" + note + "\"\n2,\"" + note + "\n\"\n");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[1][1], note);
  EXPECT_EQ(rows[2][1].size(), note.size() + 1);
}

TEST(CsvScanner, RowTooLong_IsTold) {
  CsvScanner::Status end = CsvScanner::Status::kMore;
  Scan("A\n\"" + std::string(CsvScanner::kMostRowBytes * 2, 'x') + "\"\n", 1 << 30, &end);
  EXPECT_EQ(end, CsvScanner::Status::kTooLong);
}

TEST(IsUtf8, AsRfc3629) {
  for (const char* text :
       {"", "plain ASCII of some length", "é", "naïve 日本語 text", "\U0010FFFF"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text : {"\xE9t\xE9", "12345678\xFF", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                           "\xF4\x90\x80\x80", "cut \xE6\x97", "\x80"}) {
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace flame
