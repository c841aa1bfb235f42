// A hospital of six patients, small enough to follow every step of the preprocessing by hand, and
// helpers to spoil it.
#ifndef FLAME_TESTS_DATA_HOSPITALS_PREPARE_HOSPITAL_H_
#define FLAME_TESTS_DATA_HOSPITALS_PREPARE_HOSPITAL_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "data/hospitals/prepare.h"
#include "data/options.h"
#include "tests/base/temporary_folder.h"

namespace flame {

inline void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Runs `call`, which must throw an Error, and returns its message.
template <class Call>
std::string MessageOf(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error was thrown";
}

// A folder for a hospital's tables in any layout, and its preparation.
class HospitalFolder : public testing::Test {
 protected:
  HospitalFolder() {
    std::filesystem::create_directories(root() / "mappings");
    options_.root = root();
  }
  std::filesystem::path root() const { return folder_.path() / "hospital"; }
  void Write(const std::string& name, const std::string& text) const {
    WriteText(root() / name, text);
  }
  std::string Failure() {
    return MessageOf([&] { PrepareCorpus(options_); });
  }

  DataOptions options_;

 private:
  TemporaryFolder folder_;
};

// The test PrepareCorpusTest.MiniHospital_EveryFieldAsByHand explains why each row is there.
class MiniHospital : public HospitalFolder {
 protected:
  MiniHospital() {
    WriteTables();
    WriteCodes();
    WriteMappings();
    options_.min_visits = 2;
    options_.top_drugs = 4;
    options_.min_code_rows = 1;
    options_.ddi = "pairs.csv";
  }

 private:
  void WriteTables() const {
    Write("patients.csv",
          "row_id,subject_id,gender,dob\n"
          "1,1,F,1930-03-05 00:00:00\n2,2,M,1700-01-01 00:00:00\n3,3,F,1980-01-01 00:00:00\n"
          "4,4,M,1950-12-31 00:00:00\n5,5,,2000-01-01 00:00:00\n6,6,F,1960-01-01 00:00:00\n");
    Write("ADMISSIONS.csv",
          "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME\n"
          "1,10,2001-01-01 10:00:00,2001-01-05 10:00:00\n"
          "1,11,2000-05-01 09:00:00,2000-05-03 10:00:00\n"
          "2,20,2000-01-01 00:00:00,2000-01-02 00:00:00\n2,21,2000-06-01 00:00:00,\n"
          "3,30,2000-01-01 00:00:00,\n4,40,2000-01-01 00:00:00,\n4,41,2001-01-01 00:00:00,\n"
          "5,50,2000-02-01 00:00:00,\n5,51,2001-01-01 00:00:00,\n6,60,2000-01-01 00:00:00,\n"
          "6,61,2001-01-01 00:00:00,\n");
    Write("PRESCRIPTIONS.csv",
          "SUBJECT_ID,HADM_ID,DRUG_TYPE,DRUG,NDC\n"
          "1,10,MAIN,Aspirin,00000000111\n1,10,MAIN,Aspirin,00000000111\n"
          "1,10,BASE,Saline,00000000444\n1,11,MAIN,Combo,00000000222\n1,11,MAIN,Mystery,0\n"
          "1,11,MAIN,Mystery,\n1,11,MAIN,,00000000111\n2,20,MAIN,ASA,00000000111\n"
          "2,20,MAIN,Aspirin,00000000112\n2,21,MAIN,Fish oil,00000000333\n"
          "2,21,MAIN,Aspirin,00000000111\n3,30,MAIN,Aspirin,00000000111\n"
          "4,40,MAIN,Combo,00000000222\n4,41,MAIN,Aspirin,00000000111\n"
          "5,50,MAIN,Rare,00000000444\n5,50,MAIN,Aspirin,00000000111\n"
          "5,51,MAIN,Aspirin,00000000111\n6,60,MAIN,Aspirin,00000000111\n");
    Write("NOTEEVENTS.csv",
          "HADM_ID,CATEGORY,DESCRIPTION,ISERROR,TEXT\n"
          "10,Nursing,Report,,\"Allergies: Latex\"\n"
          "10,Discharge summary,Report,1,\"Allergies: Wrong\"\n"
          ",Discharge summary,Report,,\"Allergies: Nobody\"\n"
          "10,Discharge summary,Addendum,,\"Brief Hospital Course:\nWell.\"\n"
          "10,Discharge summary,Report,,\"Allergies:\n  Penicillin\n\n"
          "Discharge Medications:\nWarfarin\n\"\n");
    Write("ORACLE.csv", "SUBJECT_ID,HADM_ID,ORACLE_LIST,ORACLE_THRESHOLD\n2,21,0.75,0.5\n");
  }

  void WriteCodes() const {
    Write("DIAGNOSES_ICD.csv",
          "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n"
          "1,10,1,0389\n1,10,1,0389\n1,10,2,4280\n1,11,1,4280\n1,11,2,\n2,20,1,0389\n"
          "2,20,,4280\n2,21,1,4280\n4,40,1,0389\n4,41,1,4280\n5,50,1,V10\n5,50,2,0389\n"
          "5,51,1,E999\n3,30,1,V10\n");
    Write("PROCEDURES_ICD.csv",
          "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n"
          "1,10,1,0159\n1,10,2,0159\n1,11,1,3893\n2,20,1,3893\n2,21,1,0159\n4,40,1,3893\n"
          "4,40,2,9604\n5,50,1,3893\n5,51,1,9604\n3,30,1,3893\n");
    Write("D_ICD_PROCEDURES.csv",
          "ICD9_CODE,SHORT_TITLE,LONG_TITLE\n159,Eye muscle tendons,x\n0159,Brain excision,x\n"
          "3893,Venous cath NEC,x\n");
  }

  void WriteMappings() const {
    Write("mappings/ndc9_to_drugbank.csv",
          "NDC,drugbank_id\n000000001,DB1\n000000002,DB2\n000000002,DB3\n000000003,DB4\n"
          "000000004,DB5\n");
    Write("mappings/drugbank_to_name.csv",
          "drugbank_id,drug_name\nDB1,Aspirin\nDB2,Alpha-One\nDB3,alpha one\nDB4,Oil\n");
    Write("mappings/drugbank_to_smiles.csv",
          "index,drug_id,smiles\n0,DB1,CC\n1,DB2,CO\n2,DB3,CN\n3,DB5,C\n4,DB4,\n");
    Write("mappings/icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\n389,Hearing loss\n0389,Sepsis\n");
    Write("mappings/icd9_procedures.csv",
          "ICD9_CODE,SHORT_TITLE\n159,Eye muscle tendons\n3893,Venous cath\n");
    Write("mappings/pairs.csv", "drug1,drug2,type\nDB1,DB2,5\nDB2,DB9,5\n");
  }
};

// Prepares the hospital, good or spoiled.
class PrepareCorpusTest : public MiniHospital {
 protected:
  // Returns the log of a preparation that succeeds.
  std::string Warnings() {
    testing::internal::CaptureStderr();
    PrepareCorpus(options_);
    return testing::internal::GetCapturedStderr();
  }
};

inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

}  // namespace flame

#endif  // FLAME_TESTS_DATA_HOSPITALS_PREPARE_HOSPITAL_H_
