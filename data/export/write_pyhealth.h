// Writes a corpus as PyHealth 1.1.6 reads hospitals, to train that library's models on our visits.
#ifndef FLAME_DATA_EXPORT_WRITE_PYHEALTH_H_
#define FLAME_DATA_EXPORT_WRITE_PYHEALTH_H_

#include <filesystem>

#include "data/corpus.h"

namespace flame {

// Fills an existing folder with
//   - PATIENTS, ADMISSIONS, DIAGNOSES_ICD, PROCEDURES_ICD and PRESCRIPTIONS.csv: the columns of
//     MIMIC-III that MIMIC3Dataset reads. HADM_ID is the number of the visit, from 1, in eight
//     digits: PyHealth orders a patient's visits by its text. Dates are made up, so that their
//     order and the difference of years, the age, are right.
//   - visits.csv: for every HADM_ID the corpus's hadm, subject and split;
//   - .cache/pyhealth/medcode/: the tables NDC, ATC, NDC_to_ATC, DDI and DDI_GAMENet.csv, which
//     pyhealth.medcode finds if the environment variable HOME is the folder. Drug 7 has the ATC
//     code 0007A01, so that the label of drug_recommendation_mimic3_fn, its third level, is 0007.
//     ATC.csv has the drugs' structures from drugbank_to_smiles.csv of `mappings`, or none if that
//     is "".
// Throws DataError if the corpus has more than 10000 drugs.
void WritePyHealth(const Corpus& corpus, const std::filesystem::path& mappings,
                   const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_DATA_EXPORT_WRITE_PYHEALTH_H_
