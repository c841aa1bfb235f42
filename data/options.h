// Config sections `data`, `prompts` and `tasks`.
#ifndef FLAME_DATA_OPTIONS_H_
#define FLAME_DATA_OPTIONS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/config.h"

namespace flame {

struct DataOptions {
  // synth: made by the program; mimic3, mimic4, eicu: real tables; records: other projects' coded
  // records.
  std::string hospital = "mimic3";
  // Folder with PATIENTS.csv, ... (.csv or .csv.gz, any case); with `records` a file of JSON lines.
  std::filesystem::path root;
  std::filesystem::path mappings;       // folder with ndc9_to_drugbank.csv, ...
  std::filesystem::path drug_mapping;   // a vocabulary of the user's own; "": DrugBank's
  std::filesystem::path drug_synonyms;  // "": as docs/config.md has it
  std::string ddi = "ddi_public.csv";   // file of `mappings` with the harmful pairs
  int64_t min_visits = 2;               // admissions a patient must have
  int64_t top_drugs = 201;              // most frequent drugs kept; 201 as the authors
  int64_t min_code_rows = 5;            // codes with more rows than this are kept
  std::string visit_order = "time";     // or "id": by HADM_ID, as in the authors' coded records
  std::string icd10 = "keep";           // or "icd9": read as ICD-9 codes, by a crosswalk
  std::string diagnoses = "discharge";  // or "previous", "admission": those of the prompt
  std::vector<int64_t> split = {4, 1, 1};
  std::string split_by = "position";  // or "patient": whole patients; "time": by year
  int64_t synth_patients = 3000;      // size of the hospital that `hospital: synth` makes
  void Bind(ConfigSchema* schema);
};

struct PromptOptions {
  std::filesystem::path file;  // templates; empty: configs/prompts.yaml of the program
  void Bind(ConfigSchema* schema);
};

struct TaskOptions {
  // The visits from which pi_cls's errors are taken. train: its own training visits, whose true
  // lists are corrupted the way it errs (as in the paper). holdout: visits kept out of its training
  // (of a share `holdout` of the training patients), whose input lists are its real predictions.
  // crossfit: as holdout, for every training visit, by two classifiers that each saw half of the
  // patients.
  std::string errors = "train";
  double holdout = 0.3;
  int64_t per_visit = 4;  // list tasks per visit: half Add, half Remove; at least 2
  // The order of the drugs of the list that a prompt shows: predicted (that of ListTask), or by
  // the scores of an encoder that the run trains (micron, raremed), the surest first.
  std::string list_order = "predicted";
  std::filesystem::path feedback;  // physicians' decisions (data/feedback.h); "": none
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_DATA_OPTIONS_H_
