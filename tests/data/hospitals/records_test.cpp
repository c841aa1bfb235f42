#include "data/hospitals/records.h"

#include "base/files/atomic_file.h"
#include "data/export/write_records.h"
#include "tests/data/hospitals/table_mutations.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kHeader[] =
    R"({"schema": "flame.records/1", "diagnoses": [{"code": "4019", "title": "Hypertension  NOS"},)"
    R"( {"code": "0389"}], "procedures": [{"code": "3893"}], "drugs": [{"code": "DB1", "name":)"
    R"( "Aspirin"}, {"code": "DB2"}, {"code": "DB3", "name": "aspi-rin"}], "ddi": [[0, 2]]})"
    "\n";

std::string Line(const std::string& ids, const std::string& more = "",
                 const std::string& drugs = "\"DB1\"") {
  return "{" + ids + R"(, "diagnoses": ["4019"], "procedures": [], "drugs": [)" + drugs + "]" +
         more + "}\n";
}

std::string VisitLine(int subject, int hadm, const std::string& more = "") {
  return Line("\"subject\": " + std::to_string(subject) + ", \"hadm\": " + std::to_string(hadm),
              more);
}

class RecordsTest : public testing::Test {
 protected:
  RecordsTest() {
    options_.hospital = "records";
    options_.root = folder_ / "r.jsonl";
  }
  Corpus Read(const std::string& text) const {
    WriteFileAtomically(options_.root, text);
    return PrepareCorpus(options_);
  }
  std::string Refusal(const std::string& text) const {
    return MessageOf([&] { Read(text); });
  }

  TemporaryFolder folder_;
  DataOptions options_;
};

TEST_F(RecordsTest, EveryField_AsInTheFile) {
  const Corpus corpus =
      Read(kHeader +
           Line(R"("subject": 7, "hadm": 70)",
                R"(, "age": 71, "gender": "F", "note": "Allergies: Latex")", R"("DB3", "DB1")") +
           "\n" + VisitLine(7, 65) + VisitLine(3, 1, R"(, "gender": "M")"));
  EXPECT_EQ(corpus.hospital, "records");
  EXPECT_EQ(corpus.num_patients, 2);
  EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("4019", "0389"));
  EXPECT_THAT(corpus.diagnoses.titles, ElementsAre("Hypertension NOS", "0389"));
  EXPECT_THAT(corpus.drugs.titles, ElementsAre("Aspirin", "DB2", "aspi-rin (DB3)"));
  EXPECT_TRUE(corpus.ddi.Harmful(2, 0));
  EXPECT_FALSE(corpus.ddi.Harmful(0, 1));
  ASSERT_EQ(corpus.visits.size(), 3u);
  const Visit& first = corpus.visits[0];
  EXPECT_EQ(std::tie(first.subject, first.hadm, first.age, first.gender, first.note),
            std::make_tuple(7, 70, 71, 'F', "Allergies: Latex"));
  EXPECT_THAT(first.drugs, ElementsAre(2, 0));
  EXPECT_THAT(first.procedures, ElementsAre());
  EXPECT_EQ(first.previous, -1);
  EXPECT_EQ(corpus.visits[1].previous, 0);
  EXPECT_EQ(corpus.visits[1].age, 0);
  EXPECT_EQ(corpus.visits[1].gender, 'U');
  EXPECT_EQ(corpus.visits[2].previous, -1);
  EXPECT_EQ(corpus.visits[2].patient, 1);
}

TEST_F(RecordsTest, WithoutSplits_CutByPosition) {
  std::string text = kHeader;
  for (int i = 1; i <= 6; ++i) text += VisitLine(i, i);
  const Corpus corpus = Read(text);
  EXPECT_THAT(corpus.VisitsOf(Split::kTrain), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(corpus.VisitsOf(Split::kValidation), ElementsAre(4));
}

TEST_F(RecordsTest, WithSplits_AsTheFileHasThem) {
  const Corpus corpus = Read(kHeader + VisitLine(1, 1, R"(, "split": "test")") +
                             VisitLine(2, 2, R"(, "split": "train")") +
                             VisitLine(3, 3, R"(, "split": "validation")"));
  EXPECT_THAT(corpus.VisitsOf(Split::kTest), ElementsAre(0));
  EXPECT_THAT(corpus.VisitsOf(Split::kValidation), ElementsAre(2));
}

TEST_F(RecordsTest, PreviousOfAnOverlap_AsNamed) {
  const Corpus corpus = Read(kHeader + VisitLine(1, 1) + VisitLine(1, 2, R"(, "previous": null)") +
                             VisitLine(1, 3, R"(, "previous": 1)"));
  EXPECT_EQ(corpus.visits[1].previous, -1);
  EXPECT_EQ(corpus.visits[2].previous, 0);
}

TEST_F(RecordsTest, MissingTitles_FromTheMappings) {
  WriteText(folder_ / "icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\n0389,Sepsis\n4019,Other\n");
  WriteText(folder_ / "icd9_procedures.csv", "ICD9_CODE,SHORT_TITLE\n3893,Venous cath\n");
  WriteText(folder_ / "drugbank_to_name.csv", "drugbank_id,drug_name\nDB2,ASPIRIN\n");
  options_.mappings = folder_.path();
  const Corpus corpus = Read(kHeader + VisitLine(1, 1));
  EXPECT_THAT(corpus.diagnoses.titles, ElementsAre("Hypertension NOS", "Sepsis"));
  EXPECT_THAT(corpus.procedures.titles, ElementsAre("Venous cath"));
  EXPECT_THAT(corpus.drugs.titles, ElementsAre("Aspirin", "ASPIRIN (DB2)", "aspi-rin (DB3)"));
  EXPECT_EQ(corpus.coverage.size(), 3u);
}

TEST_F(RecordsTest, Faults_AreNamedWithFileAndLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nonsense", "expected a JSON object"},
      {"{\"subject\": 1, \"hadm\": 2", "expected a JSON object"},
      {"\"\xff\"", "is not UTF-8; expected a JSON object"},
      {VisitLine(1, 1), "hadm 1 is there for the second time"},
      {VisitLine(2, 2, R"(, "split": "train")"), "'split' is here and missing in the lines before"},
      {VisitLine(2, 2, R"(, "age": 91)"), "'age' is 91; expected 0..90"},
      {VisitLine(2, 2, R"(, "age": 1.5)"), "'age' is 1.5; expected a whole number"},
      {VisitLine(2, 2, R"(, "gender": "f")"), "'gender' is \"f\"; expected F, M or U"},
      {VisitLine(2, 2, R"(, "note": 1)"), "'note' is 1; expected text"},
      {VisitLine(2, 2, R"(, "previous": 1)"), "'previous' is 1; expected null or an earlier visit"},
      {VisitLine(2, 2, R"(, "extra": 1)"), "'extra' is not known; expected subject, hadm"},
      {Line(R"("subject": 2)"), "'hadm' is missing"},
      {Line(R"("subject": 18446744073709551615, "hadm": 2)"), "expected a whole number"},
      {Line(R"("subject": 2, "hadm": 2)", "", "\"DB9\""), "'drugs' has \"DB9\"; expected a code"},
      {Line(R"("subject": 2, "hadm": 2)", "", "1"), "'drugs' has 1; expected a code"},
      {Line(R"("subject": 2, "hadm": 2)", "", "\"DB1\", \"DB1\""), "'drugs' has \"DB1\" twice"},
      {R"({"subject": 2, "hadm": 2, "diagnoses": "4019"})", "expected a list"},
      {VisitLine(2, 2, R"(, "age": 70, "age": 71)"), "'age' is there twice"},
  };
  for (const auto& [line, word] : cases) {
    EXPECT_THAT(Refusal(kHeader + VisitLine(1, 1) + line),
                AllOf(StartsWith(options_.root.string() + ": line 3: "), HasSubstr(word)))
        << line;
  }
  EXPECT_THAT(Refusal(kHeader + VisitLine(1, 1) + VisitLine(2, 2) + VisitLine(1, 3)),
              HasSubstr("line 4: subject 1 has visits further above"));
  EXPECT_THAT(Refusal(kHeader + VisitLine(1, 1, R"(, "split": "dev")")),
              HasSubstr("line 2: 'split' is \"dev\"; expected train, validation or test"));
  EXPECT_THAT(Refusal(kHeader), HasSubstr("holds no visit"));
}

TEST_F(RecordsTest, FaultsOfTheHeader_AreNamed) {
  const auto header = [](const std::string& drugs, const std::string& ddi) {
    return R"({"schema": "flame.records/1", "diagnoses": [], "procedures": [], "drugs": )" + drugs +
           R"(, "ddi": )" + ddi + "}";
  };
  const std::string two = R"([{"code": "A"}, {"code": "B"}])";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"schema": "flame.records/2"})", "'schema' is 'flame.records/2'; expected"},
      {R"({"diagnoses": []})", "'schema' is ''"},
      {header("3", "[]"), "'drugs' is 3; expected a list"},
      {header("[\"A\"]", "[]"), "'drugs' has \"A\"; expected objects with a code"},
      {header(R"([{"code": ""}])", "[]"), "expected a code without blanks"},
      {header(R"([{"code": "A\n"}])", "[]"), "expected a code without blanks"},
      {header(R"([{"code": "A"}, {"code": "A"}])", "[]"), "'drugs' has the code 'A' twice"},
      {header(R"([{"code": "A", "title": "x"}])", "[]"),
       "'title' is not known; expected code, name"},
      {header(two, "[[1, 0]]"), "'ddi' has [1,0]; expected two indices of drugs, the lower first"},
      {header(two, "[[0, 2]]"), "'ddi' has [0,2]"},
      {header(two, "[[0]]"), "'ddi' has [0]"},
      {header(two, "[[0, 1], [0, 1]]"), "'ddi' has [0,1] twice"},
  };
  for (const auto& [line, word] : cases) {
    EXPECT_THAT(Refusal(line + "\n"), AllOf(HasSubstr("r.jsonl: line 1: "), HasSubstr(word)));
  }
}

TEST_F(RecordsTest, WrittenAndRead_Same) {
  const Corpus before =
      Read(kHeader +
           VisitLine(7, 70, R"(, "age": 71, "gender": "F", "note": "Ä\nb", "split": "train")") +
           VisitLine(7, 65, R"(, "split": "test")") +
           VisitLine(7, 66, R"(, "split": "test", "previous": 70)") +
           VisitLine(3, 1, R"(, "split": "validation")"));
  WriteRecords(before, folder_ / "again.jsonl");
  const Corpus after = Read(ReadWholeFile(folder_ / "again.jsonl"));
  EXPECT_EQ(after.diagnoses.codes, before.diagnoses.codes);
  EXPECT_EQ(after.diagnoses.titles, before.diagnoses.titles);
  EXPECT_EQ(after.drugs.titles, before.drugs.titles);
  EXPECT_EQ(after.num_patients, before.num_patients);
  for (int a = 0; a < 3; ++a) {
    for (int b = 0; b < 3; ++b) EXPECT_EQ(after.ddi.Harmful(a, b), before.ddi.Harmful(a, b));
  }
  ASSERT_EQ(after.visits.size(), before.visits.size());
  for (size_t i = 0; i < after.visits.size(); ++i) {
    const Visit &a = before.visits[i], &b = after.visits[i];
    EXPECT_EQ(std::tie(a.subject, a.hadm, a.patient, a.previous, a.age, a.gender, a.split),
              std::tie(b.subject, b.hadm, b.patient, b.previous, b.age, b.gender, b.split));
    EXPECT_EQ(std::tie(a.diagnoses, a.procedures, a.drugs, a.note),
              std::tie(b.diagnoses, b.procedures, b.drugs, b.note));
  }
}

TEST_F(RecordsTest, SpoiledFiles_WholeCorpusOrAnErrorThatNamesTheFile) {
  const std::string text = std::string(kHeader) + VisitLine(7, 70, R"(, "age": 71)") +
                           VisitLine(7, 71, R"(, "note": "Allergies: Latex")") +
                           VisitLine(3, 1, R"(, "gender": "M")");
  Random random(17);
  int whole = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string spoiled = text;
    if (round % 2 == 0) {
      spoiled = SpoiledText(random, text);
    } else {
      std::vector<std::string> lines = LinesOf(text);
      std::string& line = lines[Below(random, lines.size())];
      line = SpoiledJson(random, nlohmann::json::parse(line))
                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      spoiled = Joined(lines);
    }
    try {
      const Corpus corpus = Read(spoiled);
      WriteCorpus(corpus, folder_ / "corpus.h5");
      EXPECT_EQ(ReadCorpus(folder_ / "corpus.h5").visits.size(), corpus.visits.size());
      ++whole;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("r.jsonl")) << spoiled;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << ": " << spoiled;
    }
  }
  EXPECT_GT(whole, 100);
}

}  // namespace
}  // namespace flame
