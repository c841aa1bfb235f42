// Extracts from a discharge summary what was known at admission, and nothing else.
#ifndef FLAME_DATA_TABLES_NOTE_SECTIONS_H_
#define FLAME_DATA_TABLES_NOTE_SECTIONS_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace flame {

inline constexpr std::string_view kHistorySection = "History of Present Illness";
inline constexpr std::string_view kPastHistorySection = "Past Medical History";
inline constexpr std::string_view kAllergiesSection = "Allergies";
inline constexpr std::string_view kMedicationsSection = "Medications on Admission";

// Returns the four sections above in the order of `text`, each as one line "Title: content" with
// white space collapsed; "" if there is none of them. Other headings of a section count, such as
// "HPI", "PMH", "Home Medications", "Admission Medications". A section ends at the next line that
// reads as a heading, and wherever the text mentions discharge medications or the hospital course.
// If it is unclear whether text belongs to a section, it is dropped, because the discharge
// medications are the labels.
std::string AdmissionNote(std::string_view text);

// Returns the place from which on a text was written at discharge or transfer, by phrases such as
// "discharge medications" or "hospital course"; std::string::npos if there is none.
size_t FindTextOfDischarge(std::string_view text);

// Returns the content of one section of an AdmissionNote, of all its lines; "" if it is missing.
std::string NoteSection(std::string_view note, std::string_view title);

// Replaces each run of white space and control characters by one space, and drops those at the
// ends.
std::string CollapseSpace(std::string_view text);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_NOTE_SECTIONS_H_
