#include "data/tables/note_sections.h"

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

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

// Each text stands below "Medications on Admission: aspirin".
TEST(AdmissionNote, TextOfDischargeInManyForms_NeverPasses) {
  for (const char* text : {"medications on d/c: heparin",
                           "MEDICATIONS ON D/C 1. heparin",
                           "dc meds: heparin",
                           "DC MEDICATIONS 1. heparin",
                           "meds upon dc: heparin",
                           "at discharge: heparin",
                           "4. DISCHARGED ON: heparin",
                           "Patient to be discharged on heparin",
                           "Then Discharge\u00a0Medications: heparin",
                           "**Course of stay**: heparin",
                           "**Medications**: heparin",
                           "1. Medications:\n heparin",
                           "- Followup: heparin",
                           "BRIEF SUMMARY OF EVENTS IN THE ICU AND ON THE FLOOR: heparin",
                           "Medications\nheparin",
                           "FINAL MEDICATIONS 1. heparin",
                           "DISPOSITION\nto rehab on heparin",
                           "=== Discharge ===\nheparin",
                           "Discharged on heparin",
                           "1) Discharge meds: heparin"}) {
    const std::string note = AdmissionNote(StrCat("Medications on Admission: aspirin\n", text));
    EXPECT_THAT(note, StartsWith("Medications on Admission: aspirin")) << text;
    EXPECT_THAT(note, Not(HasSubstr("heparin"))) << text;
  }
}

TEST(AdmissionNote, HeadingsWithMarksAndNumbers_OpenTheirSections) {
  for (const char* text :
       {"**Allergies**: penicillin", "__Allergies__: penicillin", "**Allergies:** penicillin",
        "# Allergies: penicillin", "1. Allergies: penicillin", "- Allergies: penicillin",
        "Allergies\u00a0: penicillin", "Allergies (per OMR): penicillin"}) {
    EXPECT_EQ(AdmissionNote(text), "Allergies: penicillin") << text;
  }
  EXPECT_EQ(AdmissionNote("Medications on Admission:\n1. Aspirin: 81 mg\n2. Lasix"),
            "Medications on Admission: 1. Aspirin: 81 mg 2. Lasix")
      << "a numbered line is no heading unless it is a known one";
}

// "discharged" and "transferred" tell of an earlier stay where a sentence goes on with them.
TEST(AdmissionNote, WrappedLinesOfHistory_Stay) {
  EXPECT_EQ(
      AdmissionNote("HPI:\nHe came from OSH,\ntransferred here for cath,\ndischarged to rehab "
                    "last week.\nNow fever."),
      "History of Present Illness: He came from OSH, transferred here for cath, discharged to "
      "rehab last week. Now fever.");
}

// Lines are found in time proportional to the text, whatever ends them.
TEST(AdmissionNote, MegabytesOfCarriageReturns_Read) {
  EXPECT_EQ(AdmissionNote("Allergies: x" + std::string(size_t{20} << 20, '\r') + "y"),
            "Allergies: x y");
}

}  // namespace
}  // namespace flame
