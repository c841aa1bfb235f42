// A hospital of two patients in eICU's layout.
#ifndef FLAME_TESTS_DATA_HOSPITALS_EICU_HOSPITAL_H_
#define FLAME_TESTS_DATA_HOSPITALS_EICU_HOSPITAL_H_

#include <filesystem>
#include <string>

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {

inline constexpr char kPatientHeader[] =
    "patientunitstayid,patienthealthsystemstayid,uniquepid,gender,age,hospitaldischargeyear\n";

class EicuHospital : public HospitalFolder {
 protected:
  EicuHospital() {
    // Stays 1 and 2 are one hospitalisation; 3 is in the same year, 4 in the next.
    Write("patient.csv", std::string(kPatientHeader) +
                             "1,10,002-7,Female,> 89,2014\n2,10,002-7,Female,> 89,2014\n"
                             "3,11,002-7,Female,> 89,2014\n4,12,002-7,Female,> 89,2015\n"
                             "5,50,003-7,,47,2015\n");
    Write(
        "medication.csv",
        "patientunitstayid,drugname,drugordercancelled\n"
        "1,ASPIRIN 81 MG PO TABS,No\n2,HEPARIN 1000 UNITS IN NS,No\n2,HEPARIN 1000 UNITS IN NS,No\n"
        "3,ASPIRIN,No\n3,HEPARIN,Yes\n4,ASPIRIN,No\n5,ASPIRIN,No\n5,,No\n5,Bolus,No\n");
    Write("diagnosis.csv",
          "patientunitstayid,icd9code,diagnosisstring\n"
          "1,\"428.0, I50.9\",cardiovascular|ventricular disorders|congestive heart failure\n"
          "2,\"V45.81, Z95.1\",cardiovascular|chest pain|s/p CABG\n3,\"428.0, I50.9\",x\n"
          "4,\"E23.0\",endocrine|pituitary|hypopituitarism\n4,,no code\n5,\"E980.2, T40.60\",y\n");
    const std::string ventilation =
        ",pulmonary|ventilation and oxygenation|mechanical ventilation\n";
    Write("treatment.csv", "patientunitstayid,treatmentstring\n1" + ventilation + "3" +
                               ventilation + "4" + ventilation + "5" + ventilation +
                               "5,pulmonary|medications|bronchodilator\n"
                               "5,surgery|infection|therapeutic antibacterials|vancomycin\n"
                               "5,surgery|wounds / temperature|cooling|aspirin\n"
                               "5,renal|dialysis|hemodialysis|heparin\n5,surgery|wounds / "
                               "temperature|antipyretics|x\n");
    Write("mappings/drugbank_to_name.csv",
          "drugbank_id,drug_name\nDB1,Aspirin\nDB2,Heparin\nDB09153,Sodium chloride\n");
    Write("mappings/drugbank_to_smiles.csv", "drug_id,smiles\nDB1,CC\nDB2,CO\n");
    Write("mappings/icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\n4280,CHF NOS\nV4581,CABG\n");
    Write("mappings/icd9_procedures.csv", "ICD9_CODE,SHORT_TITLE\n3893,Venous cath\n");
    Write("mappings/ddi_public.csv", "drug1,drug2\nDB1,DB2\n");
    Write("synonyms.csv", "synonym,drugbank_id\nasa,DB1\nns,DB09153\n");
    options_.hospital = "eicu";
    options_.drug_synonyms = root() / "synonyms.csv";
    options_.min_visits = 1;
    options_.min_code_rows = 0;
  }
};

}  // namespace flame

#endif  // FLAME_TESTS_DATA_HOSPITALS_EICU_HOSPITAL_H_
