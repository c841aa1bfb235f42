#include "data/tables/note_sections.h"

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kSummary[] =
    R"(Admission Date:  [**2118-6-2**]       Discharge Date:  [**2118-6-14**]

Service: MICU

Allergies:
Penicillins / Codeine

Attending:[**First Name3 (LF) 1828**]
Chief Complaint:
Dyspnea
History of Present Illness:
81 yo F with COPD, presented with
   respiratory distress: BP 120/80.

Past Medical History:
1. COPD: on home O2
2. HTN

Social History:
Smokes.

MEDICATIONS ON ADMISSION:
Furosemide 20 mg
Lisinopril

Brief Hospital Course:
Given heparin.

Discharge Medications:
1. Warfarin 5 mg

Discharge Disposition:
Home
)";

TEST(AdmissionNote, WholeSummary_FourSectionsInOrder) {
  EXPECT_EQ(AdmissionNote(kSummary),
            "Allergies: Penicillins / Codeine\n"
            "History of Present Illness: 81 yo F with COPD, presented with respiratory distress: "
            "BP 120/80.\n"
            "Past Medical History: 1. COPD: on home O2 2. HTN\n"
            "Medications on Admission: Furosemide 20 mg Lisinopril");
}

TEST(AdmissionNote, DischargeMedications_NeverPass) {
  const char* const summaries[] = {
      "Medications on Admission:\nAspirin\nDischarge Medications:\nWarfarin",
      "Medications on Admission:\nAspirin\nDISCHARGE MEDICATIONS\nWarfarin",
      "Medications on Admission:\nAspirin\ndischarge medications: \nWarfarin",
      "Medications on Admission:\nAspirin\nMedications on Discharge (1-9):\nWarfarin",
      "Medications on Admission: Aspirin  Discharge Medications: Warfarin",
      "Medications on Admission: Aspirin discharge\nmedications: Warfarin",
      "Medications on Admission:\nAspirin\n  Discharge\n  Medications: Warfarin",
      "Medications on Admission:\nAspirin\r\nMeds on discharge -\r\nWarfarin",
      "Medications on Admission:\nAspirin\nHospital course by problem: Warfarin",
      "Medications on Admission:\nAspirin\n\nBrief Hospital Course:\nWarfarin",
      "Medications on Admission:\rAspirin\r\rPertinent Results:\rWarfarin",
      "Medications on Admission:\nAspirin\n\n**Brief Summary:**\nWarfarin",
      "**Medications on Admission:**\nAspirin\n## Pertinent Results:\nWarfarin",
      "Medications on Admission:\nAspirin\nMeds at D/C\nWarfarin",
  };
  for (const char* summary : summaries) {
    EXPECT_EQ(AdmissionNote(summary), "Medications on Admission: Aspirin") << summary;
  }
}

TEST(AdmissionNote, NoKeptSection_Empty) {
  EXPECT_EQ(AdmissionNote("Discharge Medications:\nWarfarin\n"), "");
  EXPECT_EQ(AdmissionNote("Allergies:\n\nAttending: X"), "");
  EXPECT_EQ(AdmissionNote(""), "");
}

TEST(AdmissionNote, OtherHeadings_OpenTheSameSections) {
  EXPECT_EQ(AdmissionNote("HPI: Fever.\nPMH: Gout\nDrug Allergies: Sulfa\nHome Meds: Aspirin\n"),
            "History of Present Illness: Fever.\nPast Medical History: Gout\n"
            "Allergies: Sulfa\nMedications on Admission: Aspirin");
  for (const char* heading : {"ADMISSION MEDICATIONS", "Meds  on Admission", "Home Medications",
                              "Medications prior to admission", "MEDICATIONS AT HOME"}) {
    EXPECT_EQ(AdmissionNote(StrCat(heading, ":\nAspirin")), "Medications on Admission: Aspirin");
  }
  // They may be of a time after admission.
  for (const char* heading : {"Medications", "Medications on Transfer", "Current Medications"}) {
    EXPECT_EQ(AdmissionNote(StrCat(heading, ":\nAspirin")), "") << heading;
  }
}

TEST(NoteSection, TwoLinesOfOneTitle_Joined) {
  EXPECT_EQ(NoteSection(AdmissionNote("Home Meds: Aspirin\nAdmission Meds: Heparin\n"),
                        kMedicationsSection),
            "Aspirin Heparin");
}

TEST(NoteSection, ByTitle_ContentOnly) {
  const std::string note = AdmissionNote(kSummary);
  EXPECT_EQ(NoteSection(note, kAllergiesSection), "Penicillins / Codeine");
  EXPECT_EQ(NoteSection(note, kMedicationsSection), "Furosemide 20 mg Lisinopril");
  EXPECT_EQ(NoteSection("Past Medical History: Allergies: none", kAllergiesSection), "");
}

TEST(CollapseSpace, Runs_OneSpace) { EXPECT_EQ(CollapseSpace("\t a \r\n b\x01"), "a b"); }

}  // namespace
}  // namespace flame
