// One hospital admission, the first of the types that carry data from stage to stage.
#ifndef FLAME_DATA_VISIT_H_
#define FLAME_DATA_VISIT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flame {

inline constexpr int64_t kNoTime = INT64_MIN;  // the tables do not tell the time

// kNone: in no split. No file has it.
enum class Split : int8_t { kTrain = 0, kValidation = 1, kTest = 2, kNone = 3 };

// Worked example: a 71-year-old woman's second admission with heart failure:
//   {subject 10006, hadm 142345, patient 3, previous 11, age 71, gender 'F', kTrain,
//    diagnoses {0, 4, 9}, procedures {2}, drugs {5, 17}, note "Allergies: Penicillin. ..."}
struct Visit {
  int64_t subject = 0;  // SUBJECT_ID
  int64_t hadm = 0;     // HADM_ID
  int32_t patient = 0;  // 0-based index of the patient in the corpus
  // Index in Corpus::visits of the patient's last visit that had ended when this one began; -1:
  // none. With data.visit_order=id it is the visit before this one, whatever the times.
  int32_t previous = -1;
  int32_t age = 0;    // years, at most 90
  char gender = 'U';  // 'F', 'M', 'U' unknown
  Split split = Split::kTrain;
  // Indices into the corpus vocabularies, no repeats, in order of first appearance.
  std::vector<int32_t> diagnoses, procedures, drugs;
  // The part of the note that was known at admission; "" if there is none.
  std::string note;
  // Under the generating model: the expected Jaccard of the best list, and of the list {drugs with
  // P(drug) > 0.5}. -1 if there is no such model, as for every real hospital.
  float oracle_list = -1, oracle_threshold = -1;
  int32_t year = 0;  // of the calendar, not of shifted dates; 0: the tables do not tell
  // Seconds since 1970-01-01 on the hospital's clock, whose dates may be shifted per patient.
  int64_t admitted = kNoTime, discharged = kNoTime;
};

}  // namespace flame

#endif  // FLAME_DATA_VISIT_H_
