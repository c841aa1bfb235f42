// Asks of every visit where its answer, the true drugs, can already be read.
#ifndef FLAME_DATA_AUDIT_H_
#define FLAME_DATA_AUDIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace flame {

// The mentions of drugs in one part of the prompts. What was known at admission may name true
// drugs, such as those taken at home; the shares tell how much of the answer a part tells.
// Worked example: of 30 drugs that the sections "Allergies" of 20 visits name, 2 are true drugs:
//   {"Allergies", 20, 2, 30, 2}
struct MentionCount {
  std::string part;    // a section of the note, "diagnoses", "procedures", "previous visit"
  int64_t visits = 0;  // that have the part
  int64_t visits_with_true = 0;
  int64_t named = 0;       // drugs of the vocabulary that it names, summed over visits
  int64_t named_true = 0;  // of these, drugs of the visit itself
};

// One true drug in one part of a visit's prompt.
struct Mention {
  int32_t visit = 0;
  std::string part;
  int32_t drug = 0;
};

// Something in a prompt that cannot have been known at admission.
struct Leak {
  int32_t visit = 0;
  std::string kind;  // "text written at discharge", "procedure that names a drug of the visit",
                     // "previous visit that goes on", "previous visit that begins later", "visit
                     // given twice"
  std::string text;  // what was found
};

struct LeakAudit {
  int64_t true_drugs = 0;  // summed over visits
  std::vector<MentionCount> parts;
  std::vector<Mention> mentions;
  std::vector<Leak> leaks;
};

// A leak in a note is FindTextOfDischarge. Preparation cuts notes there, so that only a note that
// came as it is, in a record file, can have one.
LeakAudit AuditLeaks(const Corpus& corpus);

}  // namespace flame

#endif  // FLAME_DATA_AUDIT_H_
