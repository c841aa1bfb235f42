#include "data/options.h"

namespace flame {

void DataOptions::Bind(ConfigSchema* schema) {
  schema->Choice("data.hospital", &hospital, {"synth", "mimic3", "mimic4", "eicu", "records"},
                 "where visits come from: a hospital made by the program, the tables of MIMIC-III, "
                 "MIMIC-IV or eICU, or record files of other projects as JSON lines");
  schema->Path("data.root", &root,
               "folder of the tables (.csv or .csv.gz), as docs/hospitals.md lists them; with "
               "data.hospital: records the file of JSON lines");
  schema->Path("data.mappings", &mappings,
               "folder with ndc9_to_drugbank.csv, drugbank_to_name.csv, drugbank_to_smiles.csv, "
               "icd9_*.csv and the harmful pairs; with data.hospital: records it may be empty, and "
               "gives the titles and names that the file lacks");
  schema->Path(
      "data.drug_mapping", &drug_mapping,
      "drugs of another vocabulary than DrugBank's (CSV: source, code, name); source is an "
      "NDC of 11 or 9 digits or, in eICU, a name; the pairs of data.ddi are then of codes, "
      "and drugs need no structure; empty: DrugBank's, by the files of data.mappings");
  schema->Path(
      "data.drug_synonyms", &drug_synonyms,
      "other names of drugs (synonym, drugbank_id) for hospitals that name drugs in words; "
      "empty: drug_synonyms.csv of data.mappings, or else the program's configs/drug_synonyms.csv");
  schema->Text("data.ddi", &ddi, "file of data.mappings whose drug1,drug2 rows are harmful pairs");
  schema->Int("data.min_visits", &min_visits, {.low = 1},
              "minimum number of admissions with prescriptions that a patient must have");
  schema->Int("data.top_drugs", &top_drugs, {.low = 1},
              "number of most frequent drugs that are kept");
  schema->Int("data.min_code_rows", &min_code_rows, {.low = 0},
              "a diagnosis or procedure code is kept if it has more rows than this");
  schema->Choice("data.visit_order", &visit_order, {"time", "id"},
                 "order of a patient's visits: by admission time, or by HADM_ID as in the authors' "
                 "coded records");
  schema->Choice("data.diagnoses", &diagnoses, {"discharge", "previous", "admission"},
                 "diagnoses of a visit in prompts: its codes, which are assigned after discharge "
                 "(the method's); those of its earlier visits; the text written at admission");
  schema->Choice("data.icd10", &icd10, {"keep", "icd9"},
                 "codes of ICD-10 in MIMIC-IV: kept, or read as ICD-9 by "
                 "icd10_to_icd9_diagnoses.csv and icd10_to_icd9_procedures.csv of data.mappings "
                 "(icd10, icd9)");
  schema->IntList("data.split", &split, {.low = 0},
                  "shares of train, validation and test, each at least 1");
  schema->Choice(
      "data.split_by", &split_by, {"position", "patient", "time"},
      "what data.split cuts: the list of visits, as the authors do, so that a patient may "
      "be in two splits; the list of patients; or the visits by year of the calendar, "
      "which MIMIC-III's tables do not tell");
  schema->Int("data.synth_patients", &synth_patients, {.low = 1},
              "number of patients of the hospital that data.hospital: synth makes");
}

void PromptOptions::Bind(ConfigSchema* schema) {
  schema->Path("prompts.file", &file, "templates; empty: the program's configs/prompts.yaml");
}

void TaskOptions::Bind(ConfigSchema* schema) {
  schema->Choice("tasks.errors", &errors, {"train", "holdout", "crossfit"},
                 "visits whose classifier errors make the list tasks: those it trained on, those "
                 "held out of its training, or all (two classifiers of half the patients each)");
  schema->Number("tasks.holdout", &holdout,
                 {.low = 0, .high = 1, .low_open = true, .high_open = true},
                 "share of the training patients that tasks.errors: holdout excludes from the "
                 "classifier's training");
  schema->Choice("tasks.list_order", &list_order, {"predicted", "micron", "raremed"},
                 "order of the drugs of a prompt's list: as the classifier's list has them, or by "
                 "the scores of an encoder that the run trains, the surest first");
  schema->Int("tasks.per_visit", &per_visit, {.low = 2},
              "number of list tasks per visit; half are Add tasks, half are Remove tasks");
  schema->Path("tasks.feedback", &feedback,
               "file of physicians' decisions on visits (JSON lines), which correct the true drugs "
               "in list tasks and in GRPO's phi");
}

}  // namespace flame
