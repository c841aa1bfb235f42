#include "data/tables/csv_table.h"

#include <arrow/io/compressed.h>
#include <arrow/io/file.h>
#include <arrow/util/compression.h>

#include "base/files/atomic_file.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class CsvTableTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) { WriteText(folder_ / name, text); }

  void WriteGzip(const std::string& name, const std::string& text) {
    const auto gzip = arrow::util::Codec::Create(arrow::Compression::GZIP).ValueOrDie();
    auto file = arrow::io::FileOutputStream::Open((folder_ / name).string()).ValueOrDie();
    auto zipped = arrow::io::CompressedOutputStream::Make(gzip.get(), file).ValueOrDie();
    ASSERT_TRUE(zipped->Write(text).ok());
    ASSERT_TRUE(zipped->Close().ok());
  }

  // Returns the columns A and B of table T, joined by '|'.
  std::vector<std::string> Rows() {
    std::vector<std::string> rows;
    CsvTable(folder_.path(), "T", {"A", "B"}).ForEachRow([&](const CsvRow& row) {
      rows.push_back(std::string(row[0]) + "|" + std::string(row[1]));
    });
    return rows;
  }
  std::string Failure() {
    return MessageOf([&] { Rows(); });
  }

  TemporaryFolder folder_;
};

TEST_F(CsvTableTest, AnyCaseAndOrder_TextAsWritten) {
  Write("t.CSV", "b,x,a\n007,1,NULL\n,,\n");
  EXPECT_THAT(Rows(), ElementsAre("NULL|007", "|"));
}

TEST_F(CsvTableTest, QuotedText_KeepsBreaksCommasAndQuotes) {
  Write("T.csv", "A,B\n\"one,\n\ntwo \"\"x\"\"\",2\n\"\",3\n");
  EXPECT_THAT(Rows(), ElementsAre("one,\n\ntwo \"x\"|2", "|3"));
}

TEST_F(CsvTableTest, ManyBlocks_AllRowsInOrder) {
  std::string text = "A,B\n";
  for (int i = 0; i < 1000; ++i) {
    text += std::to_string(i) + ",\"" + std::string(20000, 'x') + "\n\"\n";
  }
  WriteGzip("T.csv.gz", text);
  const std::vector<std::string> rows = Rows();
  ASSERT_EQ(rows.size(), 1000u);
  EXPECT_EQ(rows[999].substr(0, 6), "999|xx");
  EXPECT_EQ(rows[999].size(), 4u + 20001);
}

TEST_F(CsvTableTest, WindowsLineEnds_NotInValues) {
  Write("T.csv", "A,B\r\n1,2\r\n");
  EXPECT_THAT(Rows(), ElementsAre("1|2"));
}

TEST_F(CsvTableTest, HeaderOnly_NoRows) {
  Write("T.csv", "A,B\n");
  EXPECT_THAT(Rows(), ElementsAre());
  EXPECT_THAT(MessageOf([&] {
                CsvTable(folder_.path(), "T", {"A"}).ForEachRowOfFilled([](const CsvRow&) {});
              }),
              HasSubstr("T.csv: no rows below the header; expected at least one"));
}

TEST_F(CsvTableTest, EmptyFile_Fails) {
  Write("T.csv", "");
  EXPECT_THAT(Failure(), HasSubstr("T.csv: cannot be read as CSV: Empty CSV file"));
}

TEST_F(CsvTableTest, MissingColumn_ListsThoseFound) {
  Write("T.csv", "A,C,D\n1,2,3\n");
  EXPECT_THAT(Failure(), HasSubstr("T.csv: no column B; its columns are A, C, D"));
}

TEST_F(CsvTableTest, WrongDelimiter_IsNamed) {
  Write("T.csv", "A;B\n1;2\n");
  EXPECT_THAT(Failure(), HasSubstr("the header is separated by ';'; expected commas"));
  Write("T.csv", "A\tB\n1\t2\n");
  EXPECT_THAT(Failure(), HasSubstr("the header is separated by '\\t'; expected commas"));
}

TEST_F(CsvTableTest, TruncatedGzip_Fails) {
  std::string text = "A,B\n";
  for (int i = 0; i < 5000; ++i) text += std::to_string(i * 7919) + ",2\n";
  WriteGzip("T.csv.gz", text);
  EXPECT_EQ(Rows().size(), 5000u);
  const std::string whole = ReadWholeFile(folder_ / "T.csv.gz");
  Write("T.csv.gz", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(Failure(), AllOf(HasSubstr("T.csv.gz: "), HasSubstr("Truncated compressed stream")));
  Write("T.csv.gz", "no gzip at all");
  EXPECT_THAT(Failure(), HasSubstr("T.csv.gz: cannot be unpacked (zlib"));
}

TEST_F(CsvTableTest, GzipByAnotherName_IsTold) {
  WriteGzip("T.csv", "A,B\n1,2\n");
  EXPECT_THAT(Failure(),
              HasSubstr("T.csv: is packed by gzip; expected a name that ends in .csv.gz"));
}

// A line of separators must not take memory for each.
TEST_F(CsvTableTest, VeryManyFields_Fails) {
  Write("T.csv", "A,B\n1,2\n" + std::string(size_t{8} << 20, ','));
  EXPECT_THAT(Failure(),
              HasSubstr("T.csv: row 3 (the header is row 1), line 3, has more than 10000 "
                        "fields; expected 2"));
  Write("T.csv", std::string(20000, ','));
  EXPECT_THAT(Failure(), HasSubstr("more than 10000 fields; expected fewer"));
}

TEST_F(CsvTableTest, CutInsideQuotes_Fails) {
  Write("T.csv", "A,B\n1,\"a note\"\n2,\"cut sh");
  EXPECT_THAT(Failure(), AllOf(HasSubstr("T.csv: ends inside a quoted field, after data row 1"),
                               HasSubstr("cut short")));
}

TEST_F(CsvTableTest, MarksInsideAField_AreText) {
  Write("T.csv", "A,B\n6\" tube,1\n\"6\"\" tube\",\"\"\"\"\n");
  EXPECT_THAT(Rows(), ElementsAre("6\" tube|1", "6\" tube|\""));
}

TEST_F(CsvTableTest, RaggedRow_NumberAndFields) {
  Write("T.csv", "A,B\n1,2\n1,2,3\n");
  EXPECT_THAT(Failure(),
              HasSubstr("T.csv: row 3 (the header is row 1), line 3, has 3 fields; expected "
                        "2"));
}

// A row may have several lines, and an empty line is no row.
TEST_F(CsvTableTest, LineOfARow_CountsEveryBreakBefore) {
  Write("T.csv", "\xef\xbb\xbf\n\nA,B\n1,2,3\n");
  EXPECT_THAT(Failure(), HasSubstr("row 2 (the header is row 1), line 4, has 3 fields"));
  Write("T.csv", "A,B\r\n\r\n\"x\ny\r\nz\",1\r2,2\n1,2,3\n");
  EXPECT_THAT(Failure(), HasSubstr("row 4 (the header is row 1), line 7, has 3 fields"));
  std::string text = "A,B\n";
  for (int i = 0; i < 300000; ++i) text += "\"two\nlines\",1\n";  // of several blocks
  Write("T.csv", text + "1,2,3\n");
  EXPECT_THAT(Failure(), HasSubstr("row 300002 (the header is row 1), line 600002, has 3 fields"));
  Write("T.csv", text + "1,\"x\"y\n");
  EXPECT_THAT(Failure(), HasSubstr("row 300002 (the header is row 1), line 600002, has text"));
}

TEST_F(CsvTableTest, InvalidUtf8_NamesFile) {
  Write("T.csv", "A,B\n1,\xff\xfe\n");
  EXPECT_THAT(Failure(),
              AllOf(HasSubstr("T.csv: "), HasSubstr("invalid UTF8"), HasSubstr("iconv -f latin1")));
}

TEST_F(CsvTableTest, Utf16_IsNamed) {
  for (const std::string& text : {std::string("\xff\xfe"
                                              "A\0,\0B\0\n\0",
                                              10),
                                  std::string("\xfe\xff\0A\0,\0B\0\n", 10)}) {
    Write("T.csv", text);
    EXPECT_THAT(Failure(), HasSubstr("T.csv: is text in UTF-16; expected UTF-8"));
  }
}

TEST_F(CsvTableTest, ByteOrderMarkOfUtf8_IsNoPartOfTheHeader) {
  Write("T.csv",
        "\xef\xbb\xbf"
        "A,B\n1,2\n");
  EXPECT_THAT(Rows(), ElementsAre("1|2"));
}

TEST_F(CsvTableTest, StrayQuote_IsAnErrorAndSwallowsNoRows) {
  Write("T.csv", "A,B\n1,\"Bisacodyl\n2,x\n3,\"Warfarin\"\n");
  EXPECT_THAT(Failure(),
              HasSubstr("T.csv: row 2 (the header is row 1), line 2, has text behind "
                        "the closing quote of field 2; expected a comma or a line break"));
  Write("T.csv", "\"A,B\n1,2\n");
  EXPECT_THAT(Failure(), HasSubstr("T.csv: ends inside a quoted field, after data row 0"));
}

TEST_F(CsvTableTest, ByteOrderMarkBeforeAQuotedHeader) {
  Write("T.csv", "\xef\xbb\xbf\"A\",B\n1,2\n");
  EXPECT_THAT(Rows(), ElementsAre("1|2"));
}

TEST_F(CsvTableTest, LfsPointer_IsNamed) {
  Write("T.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n");
  EXPECT_THAT(Failure(), HasSubstr("T.csv: is a Git LFS pointer"));
}

}  // namespace
}  // namespace flame
