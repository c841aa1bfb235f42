// Tables as other programs write or damage them.
#include "base/files/atomic_file.h"
#include "data/hospitals/prepare.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using PrepareDamageTest = PrepareCorpusTest;

TEST_F(PrepareDamageTest, OtherSpellingsOfFlags_AreRead) {
  const Corpus whole = PrepareCorpus(options_);
  const auto replace_in = [&](const char* file, const char* from, const char* to) {
    Write(file, Replaced(ReadWholeFile(root() / file), from, to));
  };
  replace_in("PRESCRIPTIONS.csv", ",MAIN,", ",Main ,");
  replace_in("patients.csv", ",F,", ",Female,");
  for (const char* error : {",Report,1.0,", ",Report,True,", ",Report,Y,"}) {
    replace_in("NOTEEVENTS.csv", ",Report,1,", error);
    EXPECT_EQ(PrepareCorpus(options_).visits[1].note, whole.visits[1].note) << error;
    replace_in("NOTEEVENTS.csv", error, ",Report,1,");
  }
  const Corpus corpus = PrepareCorpus(options_);
  ASSERT_EQ(corpus.visits.size(), whole.visits.size());
  for (size_t i = 0; i < whole.visits.size(); ++i) {
    EXPECT_EQ(corpus.visits[i].drugs, whole.visits[i].drugs);
    EXPECT_EQ(corpus.visits[i].gender, whole.visits[i].gender);
    EXPECT_EQ(corpus.visits[i].note, whole.visits[i].note);
  }
}

TEST_F(PrepareDamageTest, DamagedNdcs_MapAsTheWholeOnes) {
  const Corpus whole = PrepareCorpus(options_);
  const Coverage& ndcs = whole.coverage[0];
  EXPECT_EQ(ndcs, (Coverage{"prescriptions with a DrugBank id", 11, 11, 0, ""}));
  const std::string table = ReadWholeFile(root() / "PRESCRIPTIONS.csv");
  for (const char* damaged : {",111", ",111.0", ",1.11E2", ",00000-0001-11", ", 00000000111"}) {
    Write("PRESCRIPTIONS.csv", Replaced(table, ",00000000111", damaged));
    const Corpus corpus = PrepareCorpus(options_);
    EXPECT_EQ(corpus.coverage[0].repaired, 6) << damaged;
    for (size_t i = 0; i < whole.visits.size(); ++i) {
      EXPECT_EQ(corpus.visits[i].drugs, whole.visits[i].drugs) << damaged;
    }
  }
}

TEST_F(PrepareDamageTest, NdcsOfAnotherKind_AreRefused) {
  Write("PRESCRIPTIONS.csv",
        "SUBJECT_ID,HADM_ID,DRUG_TYPE,DRUG,NDC\n1,10,MAIN,Aspirin,1.1E+10\n"
        "1,11,MAIN,Aspirin,1.1E+10\n");
  EXPECT_THAT(Failure(),
              AllOf(HasSubstr("prescriptions with a DrugBank id: 0 of 2; expected NDCs of 11 "
                              "digits, found '1.1E+10' (2 times)")));
}

TEST_F(PrepareDamageTest, ZerosAndMissingValues_AreNoNdcs) {
  const Corpus whole = PrepareCorpus(options_);
  for (const char* none : {",Mystery,0.00\n", ",Mystery,nan\n", ",Mystery,00000000000\n"}) {
    Write("PRESCRIPTIONS.csv",
          Replaced(ReadWholeFile(root() / "PRESCRIPTIONS.csv"), ",Mystery,0\n", none));
    EXPECT_EQ(PrepareCorpus(options_).coverage, whole.coverage) << none;
  }
}

TEST_F(PrepareDamageTest, DamagedNdcsWithoutADrug_AreWarnedOf) {
  Write("PRESCRIPTIONS.csv", ReadWholeFile(root() / "PRESCRIPTIONS.csv") +
                                 "1,10,MAIN,Aspirin,1.1E+10\n1,11,MAIN,Aspirin,1.1E+10\n"
                                 "1,11,MAIN,Aspirin,99999999999\n");
  EXPECT_THAT(Warnings(),
              HasSubstr("prescriptions with a DrugBank id: 11 of 14, 2 lost, since they "
                        "are not written as expected; commonest without: '1.1E+10'"));
}

TEST_F(PrepareDamageTest, MappingOfNdcs_OtherSpellings) {
  const Corpus whole = PrepareCorpus(options_);
  const std::string table = ReadWholeFile(root() / "mappings/ndc9_to_drugbank.csv");
  for (const char* key : {"\n1,DB1", "\n00000-0001,DB1", "\n1.0,DB1"}) {
    Write("mappings/ndc9_to_drugbank.csv", Replaced(table, "\n000000001,DB1", key));
    EXPECT_EQ(PrepareCorpus(options_).coverage, whole.coverage) << key;
  }
  Write("mappings/ndc9_to_drugbank.csv", Replaced(table, "\n000000001,DB1", "\n00000000111,DB1"));
  EXPECT_THAT(Failure(),
              HasSubstr("ndc9_to_drugbank.csv: NDC of data row 1, line 2, is '00000000111'; "
                        "expected the first 9 of an NDC's 11 digits"));
}

TEST_F(PrepareDamageTest, MappingOfOtherIds_IsNamed) {
  Write("mappings/drugbank_to_smiles.csv", "index,drug_id,smiles\n0,DB-1,CC\n1,DB-2,CO\n");
  EXPECT_THAT(Failure(), AllOf(HasSubstr("drugs with a structure: 0 of 4"),
                               HasSubstr("drugbank_to_smiles.csv, which has ids such as 'DB-1'")));
}

TEST_F(PrepareDamageTest, TitlesWithDots_AreRead) {
  Write("mappings/icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\n389.1,Hearing loss\n038.9,Sepsis\n");
  EXPECT_THAT(PrepareCorpus(options_).diagnoses.titles, ElementsAre("4280", "Sepsis"));
}

TEST_F(PrepareDamageTest, LostZerosThatMakeAnotherCode_AreWarnedOf) {
  EXPECT_THAT(Warnings(), Not(HasSubstr("zero")));
  Write("DIAGNOSES_ICD.csv",
        Replaced(ReadWholeFile(root() / "DIAGNOSES_ICD.csv"), ",0389\n", ",389\n"));
  EXPECT_THAT(Warnings(),
              HasSubstr("no code begins with 0, so its codes may have lost their zeros; "
                        "1 titles may then be wrong, such as that of 389 (Hearing loss) "
                        "for 0389 (Sepsis)"));
  Write("DIAGNOSES_ICD.csv",
        Replaced(ReadWholeFile(root() / "DIAGNOSES_ICD.csv"), ",389\n", ",0389\n"));
  Write("mappings/icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\n389,Hearing loss\n4280,Failure\n");
  EXPECT_THAT(Warnings(), HasSubstr("1 diagnoses such as 0389 have a title only without their "
                                    "leading zero"));
}

TEST_F(PrepareDamageTest, UnreadableDots_AreWarnedOf) {
  Write("DIAGNOSES_ICD.csv",
        Replaced(ReadWholeFile(root() / "DIAGNOSES_ICD.csv"), ",4280\n", ",428.0\n"));
  EXPECT_THAT(Warnings(),
              HasSubstr("DIAGNOSES_ICD: 4 rows have codes such as '428.0', which stay"));
}

TEST_F(PrepareDamageTest, WordsForMissingValues_AreNoCodesNamesOrStructures) {
  const Corpus whole = PrepareCorpus(options_);
  for (const char* missing : {"NULL", "nan", "#N/A"}) {
    Write("DIAGNOSES_ICD.csv", ReadWholeFile(root() / "DIAGNOSES_ICD.csv") +
                                   StrCat("1,10,9,", missing, "\n4,40,9,", missing, "\n"));
    EXPECT_EQ(PrepareCorpus(options_).diagnoses.codes, whole.diagnoses.codes) << missing;
  }
  Write("mappings/drugbank_to_name.csv", "drugbank_id,drug_name\nDB1,nan\nDB1,Aspirin\nDB2,NULL\n");
  EXPECT_THAT(PrepareCorpus(options_).drugs.titles, ElementsAre("DB2", "DB3", "Aspirin"));
  Write("mappings/drugbank_to_smiles.csv", "index,drug_id,smiles\n0,DB1,CC\n1,DB2,nan\n2,DB3, \n");
  EXPECT_THAT(PrepareCorpus(options_).drugs.codes, ElementsAre("DB1"));
}

TEST_F(PrepareDamageTest, TitlesThatContradict_TheExactCodesIsTaken) {
  Write("mappings/icd9_diagnoses.csv",
        "ICD9_CODE,SHORT_TITLE\n038.9,Wrong\n389,Loss\n0389,Sepsis\n");
  EXPECT_THAT(Warnings(), HasSubstr("icd9_diagnoses: 1 rows give a code another SHORT_TITLE"));
  EXPECT_EQ(PrepareCorpus(options_).diagnoses.titles[1], "Sepsis");
}

TEST_F(PrepareDamageTest, UnknownGenders_AreWarnedOf) {
  EXPECT_THAT(Warnings(), Not(HasSubstr("GENDER")));
  Write("patients.csv", Replaced(ReadWholeFile(root() / "patients.csv"), ",F,", ",W,"));
  EXPECT_THAT(Warnings(), HasSubstr("3 rows have a GENDER such as 'W', which counts as unknown"));
}

TEST_F(PrepareDamageTest, NumbersWithAFraction_AreIds) {
  Write("NOTEEVENTS.csv", Replaced(ReadWholeFile(root() / "NOTEEVENTS.csv"), "\n10,", "\n10.0,"));
  EXPECT_EQ(PrepareCorpus(options_).visits[1].note, "Allergies: Penicillin");
}

TEST_F(PrepareDamageTest, DrugOfTwoNames_IsWarnedOf) {
  Write("mappings/drugbank_to_name.csv",
        ReadWholeFile(root() / "mappings/drugbank_to_name.csv") + "DB1,Acetylsalicylic acid\n");
  EXPECT_THAT(Warnings(), HasSubstr("1 rows give a drug such as DB1 another name"));
}

TEST_F(PrepareDamageTest, Notes_AreCovered) {
  EXPECT_EQ(PrepareCorpus(options_).coverage[2],
            (Coverage{"visits with a note", 6, 1, 0, "'no discharge summary' (5 times)"}));
  const std::string notes = ReadWholeFile(root() / "NOTEEVENTS.csv");
  Write("NOTEEVENTS.csv", Replaced(notes, "Discharge summary", " discharge Summary "));
  EXPECT_EQ(PrepareCorpus(options_).coverage[2].matched, 1) << "as other programs write it";
  Write("NOTEEVENTS.csv", Replaced(notes, "Discharge summary", "DS"));
  EXPECT_THAT(Failure(), AllOf(HasSubstr("visits with a note: 0 of 6; expected rows of CATEGORY "
                                         "'Discharge summary'"),
                               HasSubstr("a hospital without notes has no row in it")));
  Write(
      "NOTEEVENTS.csv",
      "SUBJECT_ID,HADM_ID,CATEGORY,ISERROR,TEXT\n2,10,Discharge summary,,Allergies: Penicillin\n");
  EXPECT_THAT(Failure(),
              HasSubstr("NOTEEVENTS.csv: data row 1, line 2, gives HADM_ID 10 to SUBJECT_ID 2"));
}

TEST_F(PrepareDamageTest, EndsThatAreMissingOrTooEarly_AreCounted) {
  EXPECT_THAT(Warnings(),
              HasSubstr("ADMISSIONS: 3 of 6 visits have no DISCHTIME, and 0 one before"));
  Write("ADMISSIONS.csv", Replaced(ReadWholeFile(root() / "ADMISSIONS.csv"), "2001-01-05 10:00:00",
                                   "2000-12-31 10:00:00"));
  EXPECT_THAT(Warnings(), HasSubstr("and 1 one before their ADMITTIME, such as HADM_ID 10"));
}

TEST_F(PrepareDamageTest, TwoFilesOrColumnsOfOneName_AreRefused) {
  const std::string table = ReadWholeFile(root() / "PRESCRIPTIONS.csv");
  Write("prescriptions.csv", table);
  EXPECT_THAT(Failure(), HasSubstr("has PRESCRIPTIONS.csv and prescriptions.csv; expected one"));
  std::filesystem::remove(root() / "prescriptions.csv");
  Write("PRESCRIPTIONS.csv.gz", "");
  EXPECT_THAT(Failure(), HasSubstr("has PRESCRIPTIONS.csv and PRESCRIPTIONS.csv.gz"));
  std::filesystem::remove(root() / "PRESCRIPTIONS.csv.gz");
  Write("PRESCRIPTIONS.csv",
        "SUBJECT_ID,HADM_ID,DRUG_TYPE,DRUG,NDC,ndc\n1,10,MAIN,Aspirin,00000000111,0\n");
  EXPECT_THAT(Failure(), HasSubstr("PRESCRIPTIONS.csv: more than one column NDC"));
}

TEST_F(PrepareDamageTest, DdiIds_InAnotherSpellingMatchAndOthersAreRefused) {
  const Corpus whole = PrepareCorpus(options_);
  EXPECT_EQ(whole.coverage.back(), (Coverage{"drugs with interactions", 3, 2, 0, "'DB3'"}));
  for (const char* pair : {"db1,db2,5", " DB1 ,\"DB2 \",5"}) {
    Write("mappings/pairs.csv", StrCat("drug1,drug2,type\n", pair, "\n"));
    const Corpus corpus = PrepareCorpus(options_);
    EXPECT_TRUE(corpus.ddi.Harmful(0, 2)) << pair;
    EXPECT_EQ(corpus.coverage.back().repaired, 2) << pair;
  }
  Write("mappings/pairs.csv", "drug1,drug2,type\nDB1,Alpha,5\nDB2,Oil,5\n");
  EXPECT_THAT(Failure(),
              HasSubstr("in each of 2 rows with a drug of this hospital the other is no"));
  Write("mappings/pairs.csv", "drug1,drug2,type\nAspirin,Oil,5\n");
  EXPECT_THAT(Failure(), AllOf(HasSubstr("pairs.csv, whose first pair is Aspirin,Oil"),
                               HasSubstr("drugs with interactions: 0 of 3")));
}

TEST_F(PrepareDamageTest, DamagedDiagnoses_KeepTheirTitles) {
  const std::string table = ReadWholeFile(root() / "DIAGNOSES_ICD.csv");
  for (const char* damaged : {",038.9\n", ",0389.0\n", ", 0389 \n"}) {
    std::string text = Replaced(table, ",0389\n", damaged);
    if (damaged == std::string(",038.9\n")) text = Replaced(text, ",4280\n", ",428.0\n");
    Write("DIAGNOSES_ICD.csv", text);
    const Corpus corpus = PrepareCorpus(options_);
    EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("4280", "0389")) << damaged;
    EXPECT_THAT(corpus.diagnoses.titles, ElementsAre("4280", "Sepsis")) << damaged;
  }
}

}  // namespace
}  // namespace flame
