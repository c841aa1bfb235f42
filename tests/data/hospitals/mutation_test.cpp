// Spoils tables in every way that exports and hands do, by seed. A preparation of spoiled tables is
// the right corpus or an error in words that names the table, never a crash or half a corpus.
#include <functional>
#include <random>

#include "base/files/atomic_file.h"
#include "base/log.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

using Random = std::mt19937_64;

size_t Below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::vector<std::string> CellsOf(const std::string& line) {
  std::vector<std::string> cells{""};
  for (const char c : line) {
    if (c == ',') {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

std::string RowOf(const std::vector<std::string>& cells) {
  std::string row;
  for (size_t i = 0; i < cells.size(); ++i) row += (i > 0 ? "," : "") + cells[i];
  return row;
}

// Applies `change` to the cells of every line. The tables spoiled this way have no quoted cells.
std::string EachRow(const std::string& text,
                    const std::function<void(std::vector<std::string>*)>& change) {
  std::vector<std::string> lines = LinesOf(text);
  for (std::string& line : lines) {
    std::vector<std::string> cells = CellsOf(line);
    change(&cells);
    line = RowOf(cells);
  }
  return Joined(lines);
}

// Changes one cell of a data row.
std::string WithCell(Random& random, const std::string& text, const std::string& value) {
  std::vector<std::string> lines = LinesOf(text);
  if (lines.size() < 2) return text;
  std::string& line = lines[1 + Below(random, lines.size() - 1)];
  std::vector<std::string> cells = CellsOf(line);
  cells[Below(random, cells.size())] = value;
  line = RowOf(cells);
  return Joined(lines);
}

using Mutation = std::string (*)(Random&, const std::string&);

// These leave what the table says.
const Mutation kHarmless[] = {
    [](Random&, const std::string& text) { return Replaced(text, "\n", "\r\n"); },
    [](Random&, const std::string& text) { return "\xEF\xBB\xBF" + text; },
    [](Random&, const std::string& text) { return text.substr(0, text.size() - 1); },
    [](Random& random, const std::string& text) {  // columns in another order
      const size_t n = CellsOf(LinesOf(text)[0]).size();
      const size_t a = Below(random, n), b = Below(random, n);
      return EachRow(text, [&](auto* cells) {
        if (cells->size() == n) std::swap((*cells)[a], (*cells)[b]);
      });
    },
    [](Random&, const std::string& text) {  // a column of its own
      bool header = true;
      return EachRow(text, [&](auto* cells) {
        cells->push_back(header ? "EXTRA" : "x");
        header = false;
      });
    },
};

const Mutation kHarmful[] = {
    [](Random& random, const std::string& text) {  // a column is lost
      const size_t lost = Below(random, CellsOf(LinesOf(text)[0]).size());
      return EachRow(text, [&](auto* cells) {
        if (lost < cells->size()) cells->erase(cells->begin() + static_cast<int64_t>(lost));
      });
    },
    [](Random& random, const std::string& text) {  // a column twice
      const size_t twice = Below(random, CellsOf(LinesOf(text)[0]).size());
      return EachRow(text, [&](auto* cells) {
        if (twice < cells->size()) cells->push_back((*cells)[twice]);
      });
    },
    [](Random& random, const std::string& text) {  // two headers swapped
      std::vector<std::string> lines = LinesOf(text);
      std::vector<std::string> cells = CellsOf(lines[0]);
      std::swap(cells[Below(random, cells.size())], cells[Below(random, cells.size())]);
      lines[0] = RowOf(cells);
      return Joined(lines);
    },
    [](Random& random, const std::string& text) {  // a row is lost, twice or elsewhere
      std::vector<std::string> lines = LinesOf(text);
      const size_t row = Below(random, lines.size());
      const std::string copy = lines[row];
      if (Below(random, 2) == 0) lines.erase(lines.begin() + static_cast<int64_t>(row));
      lines.insert(lines.begin() + static_cast<int64_t>(Below(random, lines.size() + 1)), copy);
      return Joined(lines);
    },
    [](Random& random, const std::string& text) {  // cut short
      return text.substr(0, Below(random, text.size()));
    },
    [](Random& random, const std::string& text) {  // a byte that is another one
      std::string spoiled = text;
      spoiled[Below(random, text.size())] = static_cast<char>(Below(random, 256));
      return spoiled;
    },
    [](Random& random, const std::string& text) {
      const char* const cells[] = {
          "",     "-1",         "x",          "\"",     "9999999999999999999",
          "1e3",  "2001-13-45", "01/02/03",   "nan",    "\xE9t\xE9",
          "0.0",  "2001-01-01", "\"a,b\"",    "NULL",   "1850-01-01",
          "1\t2", "12:00",      "2999-01-01", "\"\"\"", " 7 "};
      return WithCell(random, text, cells[Below(random, std::size(cells))]);
    },
    [](Random& random, const std::string& text) {  // another delimiter
      return Replaced(text, ",", Below(random, 2) == 0 ? ";" : "\t");
    },
    [](Random&, const std::string&) { return std::string(); },
    [](Random&, const std::string& text) {  // UTF-16
      std::string wide = "\xFF\xFE";
      for (const char c : text) wide += {c, '\0'};
      return wide;
    },
};

// Equal but for what the mappings' coverage counts.
void ExpectSame(const Corpus& a, const Corpus& b) {
  ASSERT_EQ(a.visits.size(), b.visits.size());
  EXPECT_EQ(a.diagnoses.codes, b.diagnoses.codes);
  EXPECT_EQ(a.procedures.codes, b.procedures.codes);
  EXPECT_EQ(a.drugs.codes, b.drugs.codes);
  for (size_t i = 0; i < a.visits.size(); ++i) {
    EXPECT_EQ(a.visits[i].hadm, b.visits[i].hadm);
    EXPECT_EQ(a.visits[i].drugs, b.visits[i].drugs);
    EXPECT_EQ(a.visits[i].diagnoses, b.visits[i].diagnoses);
    EXPECT_EQ(a.visits[i].age, b.visits[i].age);
    EXPECT_EQ(a.visits[i].note, b.visits[i].note);
  }
}

class MutationTest : public PrepareCorpusTest {
 protected:
  void SetUp() override { InitLogging(LogLevel::kError, -1); }
  void TearDown() override { InitLogging(LogLevel::kInfo, -1); }

  // Prepares the spoiled hospital. A corpus must be whole; an error must name a table, a column or
  // a step.
  void PrepareOrFail(const std::string& what) {
    try {
      const Corpus corpus = PrepareCorpus(options_);
      const TemporaryFolder folder;
      WriteCorpus(corpus, folder / "corpus.h5");
      EXPECT_EQ(ReadCorpus(folder / "corpus.h5").visits.size(), corpus.visits.size()) << what;
      for (const Visit& visit : corpus.visits) {
        EXPECT_FALSE(visit.drugs.empty() || visit.diagnoses.empty() || visit.procedures.empty())
            << what;
      }
    } catch (const Error& error) {
      const std::string message = error.what();
      const bool named = message.find(".csv") != std::string::npos ||
                         message.find("no patient left after the step") != std::string::npos ||
                         message.find("nothing of this hospital") != std::string::npos ||
                         message.find("no table") != std::string::npos;
      EXPECT_TRUE(named) << what << ": " << message;
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": " << error.what();
    }
  }

  const std::vector<std::string> tables_ = {"patients.csv",
                                            "ADMISSIONS.csv",
                                            "PRESCRIPTIONS.csv",
                                            "DIAGNOSES_ICD.csv",
                                            "PROCEDURES_ICD.csv",
                                            "D_ICD_PROCEDURES.csv",
                                            "ORACLE.csv",
                                            "mappings/ndc9_to_drugbank.csv",
                                            "mappings/pairs.csv",
                                            "mappings/drugbank_to_name.csv",
                                            "mappings/icd9_diagnoses.csv"};
};

TEST_F(MutationTest, HarmlessChanges_SameCorpus) {
  const Corpus whole = PrepareCorpus(options_);
  Random random(7);
  for (const std::string& table : tables_) {
    const std::string text = ReadWholeFile(root() / table);
    for (size_t m = 0; m < std::size(kHarmless); ++m) {
      SCOPED_TRACE(StrCat(table, ", change ", m));
      Write(table, kHarmless[m](random, text));
      ExpectSame(PrepareCorpus(options_), whole);
    }
    Write(table, text);
  }
}

TEST_F(MutationTest, HarmfulChanges_WholeCorpusOrAnErrorThatNamesTheTable) {
  Random random(11);
  for (int round = 0; round < 6; ++round) {
    for (const std::string& table : tables_) {
      const std::string text = ReadWholeFile(root() / table);
      for (size_t m = 0; m < std::size(kHarmful); ++m) {
        Write(table, kHarmful[m](random, text));
        PrepareOrFail(StrCat(table, ", change ", m, ", round ", round));
      }
      Write(table, text);
    }
  }
}

TEST_F(MutationTest, NotesOfAnyBytes_NeverCrash) {
  Random random(13);
  const std::string text = ReadWholeFile(root() / "NOTEEVENTS.csv");
  for (int round = 0; round < 300; ++round) {
    std::string spoiled = text;
    for (int i = 0; i < 3; ++i) {
      spoiled[Below(random, spoiled.size())] = static_cast<char>(Below(random, 256));
    }
    Write("NOTEEVENTS.csv", spoiled);
    PrepareOrFail(StrCat("notes, round ", round));
  }
}

// The reader holds one row at a time, up to a limit.
TEST_F(MutationTest, RowOfSeventyMegabytes_IsAnErrorThatNamesTheTable) {
  Write("NOTEEVENTS.csv",
        "HADM_ID,CATEGORY,ISERROR,TEXT\n10,Nursing,,\"" + std::string(70 << 20, 'x') + "\"\n");
  EXPECT_THAT(Failure(), testing::HasSubstr("NOTEEVENTS.csv: data row 1 is longer than 64 MB"));
}

}  // namespace
}  // namespace flame
