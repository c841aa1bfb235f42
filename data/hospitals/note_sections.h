// What a discharge summary says of the time before admission, and nothing else of it.
#ifndef FLAME_DATA_HOSPITALS_NOTE_SECTIONS_H_
#define FLAME_DATA_HOSPITALS_NOTE_SECTIONS_H_

#include <string>
#include <string_view>

namespace flame {

inline constexpr std::string_view kHistorySection = "History of Present Illness";
inline constexpr std::string_view kPastHistorySection = "Past Medical History";
inline constexpr std::string_view kAllergiesSection = "Allergies";
inline constexpr std::string_view kMedicationsSection = "Medications on Admission";

// The four sections above in the order of `text`, each as one line "Title: content" with white
// space collapsed; "" if it has none of them. A section ends at the next line that reads as a
// heading, and wherever discharge medications or the hospital course are spoken of: text is rather
// lost than let through, since discharge medications are the answer.
std::string AdmissionNote(std::string_view text);

// Content of one section of an AdmissionNote; "" if it is not there.
std::string NoteSection(std::string_view note, std::string_view title);

// Runs of white space and control characters as one space, none at the ends.
std::string CollapseSpace(std::string_view text);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_NOTE_SECTIONS_H_
