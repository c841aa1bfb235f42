// A hospital of three patients in MIMIC-IV's layout.
#ifndef FLAME_TESTS_DATA_HOSPITALS_MIMIC4_HOSPITAL_H_
#define FLAME_TESTS_DATA_HOSPITALS_MIMIC4_HOSPITAL_H_

#include <filesystem>
#include <string>

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {

class Mimic4Hospital : public HospitalFolder {
 protected:
  Mimic4Hospital() {
    for (const char* folder : {"hosp", "note"})
      std::filesystem::create_directories(root() / folder);
    Write("hosp/patients.csv",
          "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n"
          "1,F,60,2150,2014 - 2016,\n2,M,89,2140,2008 - 2010,\n3,F,20,2100,2017 - 2019,\n");
    Write("hosp/admissions.csv",
          "subject_id,hadm_id,admittime,dischtime\n"
          "1,99,2150-01-01 10:00:00,2150-01-05 10:00:00\n"
          "1,11,2152-01-01 10:00:00,2152-01-05 10:00:00\n"
          "2,20,2144-01-01 00:00:00,2144-01-02 00:00:00\n"
          "3,30,2099-01-01 00:00:00,2099-01-02 00:00:00\n");
    Write("hosp/prescriptions.csv",
          "subject_id,hadm_id,pharmacy_id,drug_type,drug,ndc\n"
          "1,99,1,MAIN,Aspirin,00000000111\n1,11,1,MAIN,Oil,00000000211\n"
          "2,20,1,MAIN,Aspirin,00000000111\n3,30,1,MAIN,Aspirin,00000000111\n"
          "3,30,1,ADDITIVE,Oil,00000000211\n");
    Write("hosp/diagnoses_icd.csv",
          "subject_id,hadm_id,seq_num,icd_code,icd_version\n"
          "1,99,1,V10,9\n1,11,1,V10,10\n2,20,1,i50.9 ,10\n3,30,1,4280,9\n");
    Write("hosp/procedures_icd.csv",
          "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version\n"
          "1,99,1,2150-01-01,3893,9\n1,11,1,2152-01-01,02HV33Z,10\n2,20,1,2144-01-01,3893,9\n"
          "3,30,1,2099-01-01,3893,9\n");
    Write("hosp/d_icd_diagnoses.csv",
          "icd_code,icd_version,long_title\nV10,9,Long of nine\nV10,10,Rider injured\n"
          "I509,10,\"Heart failure, unspecified\"\n");
    Write("note/discharge.csv",
          "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
          "a,1,11,DS,1,,,\"Allergies:\n Sulfa\n\nDischarge Medications:\nWarfarin\n\"\n");
    Write("mappings/ndc9_to_drugbank.csv", "NDC,drugbank_id\n000000001,DB1\n000000002,DB2\n");
    Write("mappings/drugbank_to_name.csv", "drugbank_id,drug_name\nDB1,Aspirin\nDB2,Oil\n");
    Write("mappings/drugbank_to_smiles.csv", "drug_id,smiles\nDB1,CC\nDB2,CO\n");
    Write("mappings/icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\nV10,Short of nine\n4280,CHF\n");
    Write("mappings/icd9_procedures.csv", "ICD9_CODE,SHORT_TITLE\n3893,Venous cath\n");
    Write("mappings/ddi_public.csv", "drug1,drug2\nDB1,DB2\n");
    options_.hospital = "mimic4";
    options_.min_visits = 1;
    options_.min_code_rows = 0;
  }
};

}  // namespace flame

#endif  // FLAME_TESTS_DATA_HOSPITALS_MIMIC4_HOSPITAL_H_
