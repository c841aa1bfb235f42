// data.drug_mapping: a vocabulary of the user's own.
#include "data/hospitals/drug_mapping.h"

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsNull;
using testing::Not;
using testing::Pointee;

// The hospital of prepare_hospital.h by ATC codes.
class DrugMappingTest : public PrepareCorpusTest {
 protected:
  DrugMappingTest() { options_.drug_mapping = root() / "atc.csv"; }
  void WriteMapping(const std::string& rows) const {
    Write("atc.csv", "source,code,name\n" + rows);
  }
  DrugMapping Ndcs() const { return DrugMapping(options_.drug_mapping, /*names_drugs=*/false); }
};

TEST_F(DrugMappingTest, Packages_ElevenDigitsBeforeNine) {
  WriteMapping(
      "00073458001,C03CA01,Furosemide\n000734580, c07ab02 ,Metoprolol\n"
      "000734580,C09AA03,Lisinopril\n000734580,C09AA03,Lisinopril\n000000009,,Nothing\n");
  const DrugMapping drugs = Ndcs();
  EXPECT_THAT(drugs.Find("00073458001"), Pointee(ElementsAre("C03CA01")));
  EXPECT_THAT(drugs.Find("00073458002"), Pointee(ElementsAre("C07AB02", "C09AA03")));
  EXPECT_THAT(drugs.Find("73458002"), Pointee(ElementsAre("C07AB02", "C09AA03")));
  EXPECT_THAT(drugs.Find("00000000901"), IsNull()) << "a row without a code";
  EXPECT_THAT(drugs.Find("99999999999"), IsNull());
  EXPECT_TRUE(drugs.WellFormed("00073458002"));
  EXPECT_FALSE(drugs.WellFormed("73458002"));
}

TEST_F(DrugMappingTest, Names_InAnyCaseAndSpacing) {
  WriteMapping("Furosemide  40 mg PO tabs,C03CA01,Furosemide\nLASIX,C03CA01,\n");
  const DrugMapping drugs(options_.drug_mapping, /*names_drugs=*/true);
  EXPECT_THAT(drugs.Find("FUROSEMIDE 40 MG PO TABS"), Pointee(ElementsAre("C03CA01")));
  EXPECT_THAT(drugs.Find("LASIX"), Pointee(ElementsAre("C03CA01")));
  EXPECT_THAT(drugs.Find("LASIX 40"), IsNull());
}

TEST_F(DrugMappingTest, FileOfTheFolderItself_IsFound) {
  WriteMapping("000734580,C03CA01,Furosemide\n");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(root());
  const DrugMapping drugs("atc.csv", /*names_drugs=*/false);
  std::filesystem::current_path(before);
  EXPECT_THAT(drugs.Find("00073458001"), Pointee(ElementsAre("C03CA01")));
}

TEST_F(DrugMappingTest, NamesOfCodes_DistinctAndTheCodeIfThereIsNone) {
  WriteMapping(
      "000000001,N02BA01,Aspirin\n000000002,B01AC06,aspirin\n000000003,X1,\n"
      "000000004,N02BA01,Other\n");
  Coverage coverage;
  testing::internal::CaptureStderr();
  const DrugMapping drugs = Ndcs();
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("1 rows give a code such as N02BA01 another name"));
  EXPECT_THAT(drugs.Names({"N02BA01", "B01AC06", "X1"}, &coverage),
              ElementsAre("Aspirin", "aspirin (B01AC06)", "X1"));
  EXPECT_EQ(coverage, (Coverage{"drugs with a name", 3, 2, 0, "'X1'"}));
}

TEST_F(DrugMappingTest, BadFile_DataErrorNamesIt) {
  EXPECT_THAT(MessageOf([&] { Ndcs(); }), HasSubstr("atc"));
  WriteMapping("7345800,C03CA01,Furosemide\n");
  EXPECT_THAT(MessageOf([&] { Ndcs(); }), AllOf(HasSubstr("7345800"), HasSubstr("11 digits")));
  WriteMapping("000734580,,Furosemide\n");
  EXPECT_THAT(MessageOf([&] { Ndcs(); }), HasSubstr("no row has a source and a code"));
  Write("atc.csv", "source,code\n000734580,C03CA01\n");
  EXPECT_THAT(MessageOf([&] { Ndcs(); }), HasSubstr("name"));
}

// Products 1 to 4 of the hospital are DB1, {DB2, DB3}, DB4 and DB5 in DrugBank. Steps 1 and 2 leave
// 7 rows of product 1, two of product 2 and one each of 3 and 4. Here 2 is one code, A2, and 3,
// which has no structure in DrugBank, is kept.
TEST_F(DrugMappingTest, Prepare_TakesThePlaceOfDrugBank) {
  WriteMapping("000000001,A1,Aspirin\n000000002,A2,Combo\n000000003,A3,Oil\n000000004,A4,Rare\n");
  Write("mappings/pairs.csv", "drug1,drug2\nA1,A2\na3,Z9\n");
  for (const char* unread : {"ndc9_to_drugbank", "drugbank_to_name", "drugbank_to_smiles"}) {
    std::filesystem::remove(root() / "mappings" / (std::string(unread) + ".csv"));
  }
  testing::internal::CaptureStderr();
  const Corpus corpus = PrepareCorpus(options_);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(corpus.drugs.codes, ElementsAre("A2", "A1", "A3", "A4"));
  EXPECT_THAT(corpus.drugs.titles, ElementsAre("Combo", "Aspirin", "Oil", "Rare"));
  ASSERT_EQ(corpus.visits.size(), 6u);
  EXPECT_THAT(corpus.visits[0].drugs, ElementsAre(0));
  EXPECT_THAT(corpus.visits[3].drugs, ElementsAre(2, 1));
  EXPECT_TRUE(corpus.ddi.Harmful(0, 1));
  EXPECT_FALSE(corpus.ddi.Harmful(1, 2));
  EXPECT_THAT(log, Not(HasSubstr("lost")));
  EXPECT_THAT(log, Not(HasSubstr("structure")));
  EXPECT_THAT(log, HasSubstr("prescriptions with a code of data.drug_mapping"));
}

TEST_F(DrugMappingTest, Prepare_PairsOfAnotherVocabularyAreAnError) {
  WriteMapping("000000001,A1,Aspirin\n000000002,A2,Combo\n");
  EXPECT_THAT(Failure(), AllOf(HasSubstr("drugs with interactions: 0 of 2"),
                               HasSubstr("expected codes of data.drug_mapping")));
}

}  // namespace
}  // namespace flame
