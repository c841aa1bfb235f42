#include "data/export/write_pyhealth.h"

#include "base/files/atomic_file.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Corpus ThreeVisits() {
  Corpus corpus;
  corpus.num_patients = 2;
  corpus.diagnoses = {{"4019"}, {"Hypertension"}};
  corpus.procedures = {{"3893"}, {"Venous cath"}};
  corpus.drugs = {{"DB1", "DB2", "DB3"}, {"Aspirin", "Oil, \"fish\"", "C"}};
  corpus.ddi = DdiGraph(3);
  corpus.ddi.Add(2, 0);
  corpus.visits = {{7, 70, 0, -1, 71, 'F', Split::kTrain, {0}, {0}, {2, 0}, "", -1, -1},
                   {7, 65, 0, 0, 72, 'F', Split::kValidation, {0}, {}, {1}, "", -1, -1},
                   {3, 1, 1, -1, 0, 'U', Split::kTest, {0}, {0}, {0}, "", -1, -1}};
  return corpus;
}

class PyHealthExport : public testing::Test {
 protected:
  PyHealthExport() { std::filesystem::create_directory(folder_ / "out"); }
  std::string Text(const std::string& name) const { return ReadWholeFile(folder_ / "out" / name); }
  TemporaryFolder folder_;
};

TEST_F(PyHealthExport, Visits_InOrderByTextOfTheirId) {
  WritePyHealth(ThreeVisits(), "", folder_ / "out");
  EXPECT_THAT(Text("ADMISSIONS.csv"),
              AllOf(HasSubstr("\n7,00000001,2071-01-01 00:00:00,2071-01-01 01:00:00,"),
                    HasSubstr("\n7,00000002,2072-01-01 02:00:00,"),
                    HasSubstr("\n3,00000003,2000-01-01 00:00:00,")));
  EXPECT_EQ(Text("visits.csv"),
            "HADM_ID,hadm,subject,split\n00000001,70,7,train\n00000002,65,7,validation\n"
            "00000003,1,3,test\n");
  EXPECT_EQ(Text("PROCEDURES_ICD.csv"),
            "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n7,00000001,1,3893\n3,00000003,1,3893\n");
}

TEST_F(PyHealthExport, Drugs_HaveCodesOfTheirIndices) {
  WriteText(folder_ / "drugbank_to_smiles.csv", "drug_id,smiles\nDB1,\"CC,O\"\n");
  WritePyHealth(ThreeVisits(), folder_.path(), folder_ / "out");
  EXPECT_THAT(Text("PRESCRIPTIONS.csv"),
              AllOf(HasSubstr("\n7,00000001,2000-01-01 00:00:00,2000-01-01 00:00:00,MAIN,C,"
                              "00000000003\n"),
                    HasSubstr(",MAIN,\"Oil, \"\"fish\"\"\",00000000002\n")));
  const std::string cache = ".cache/pyhealth/medcode/";
  EXPECT_THAT(Text(cache + "NDC_to_ATC.csv"),
              StartsWith("NDC,ATC\n00000000001,0000A01\n00000000002,0001A01\n"));
  EXPECT_THAT(Text(cache + "ATC.csv"), AllOf(HasSubstr("\n0000A01,0000,Aspirin,5,\"CC,O\",DB1\n"),
                                             HasSubstr("\n0002A01,0002,C,5,,DB3\n")));
  EXPECT_EQ(Text(cache + "DDI_GAMENet.csv"), "ATC i,ATC j\n0000A01,0002A01\n");
  EXPECT_EQ(Text(cache + "DDI.csv"), Text(cache + "DDI_GAMENet.csv"));
}

TEST_F(PyHealthExport, MoreDrugsThanCodes_Refused) {
  Corpus corpus;
  corpus.drugs.codes.resize(10001);
  EXPECT_THAT(MessageOf([&] { WritePyHealth(corpus, "", folder_ / "out"); }),
              HasSubstr("the corpus has 10001 drugs"));
}

}  // namespace
}  // namespace flame
