#include "data/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A patient with two visits. The note of the second names one of its drugs and one that is none.
Corpus TwoVisits() {
  Corpus corpus;
  corpus.num_patients = 1;
  corpus.diagnoses = {{"4280", "99529"}, {"CHF", "Adv effect of Digoxin"}};
  corpus.procedures = {{"3893"}, {"Venous cath"}};
  corpus.drugs = {{"DB1", "DB2", "DB3"}, {"Aspirin", "Warfarin", "Digoxin"}};
  corpus.ddi = DdiGraph(3);
  Visit first, second;
  first.hadm = 10;
  first.drugs = {0, 1};
  first.admitted = 0;
  first.discharged = 50;
  second.hadm = 11;
  second.previous = 0;
  second.drugs = {1, 2};
  second.admitted = 100;
  second.note = "Medications on Admission: warfarin 5 mg, aspirin\nAllergies: Aspirin";
  corpus.visits = {first, second};
  return corpus;
}

std::vector<std::string> Kinds(const Corpus& corpus) {
  std::vector<std::string> kinds;
  for (const Leak& leak : AuditLeaks(corpus).leaks) kinds.push_back(leak.kind);
  return kinds;
}

TEST(AuditLeaks, Mentions_CountedByPart) {
  const LeakAudit audit = AuditLeaks(TwoVisits());
  EXPECT_EQ(audit.true_drugs, 4);
  std::vector<std::string> parts;
  for (const MentionCount& part : audit.parts) {
    parts.push_back(StrCat(part.part, " ", part.visits, " ", part.visits_with_true, " ", part.named,
                           " ", part.named_true));
  }
  EXPECT_THAT(parts, ElementsAre("diagnoses 2 0 0 0", "procedures 2 0 0 0", "Allergies 1 0 1 0",
                                 "Medications on Admission 1 1 2 1", "previous visit 1 1 2 1"));
  ASSERT_EQ(audit.mentions.size(), 2u);
  EXPECT_EQ(audit.mentions[0].drug, 1);
  EXPECT_THAT(audit.leaks, IsEmpty());
}

TEST(AuditLeaks, TitleThatNamesATrueDrug_IsAMention) {
  Corpus corpus = TwoVisits();
  corpus.visits[1].diagnoses = {1};
  const LeakAudit audit = AuditLeaks(corpus);
  EXPECT_EQ(audit.mentions[1].part, "diagnoses");
  EXPECT_EQ(audit.mentions[1].drug, 2);
}

TEST(AuditLeaks, ProcedureThatNamesADrugOfTheVisit_IsALeak) {
  Corpus corpus = TwoVisits();
  corpus.procedures.titles[0] = "Infusion of digoxin";
  corpus.visits[1].procedures = {0};
  EXPECT_THAT(Kinds(corpus), ElementsAre("procedure that names a drug of the visit"));
}

TEST(AuditLeaks, TextWrittenAtDischarge_IsFound) {
  Corpus corpus = TwoVisits();
  corpus.visits[1].note = "History of Present Illness: Fell. Discharged on the following: digoxin";
  const LeakAudit audit = AuditLeaks(corpus);
  ASSERT_EQ(audit.leaks.size(), 1u);
  EXPECT_EQ(audit.leaks[0].visit, 1);
  EXPECT_EQ(audit.leaks[0].kind, "text written at discharge");
  EXPECT_THAT(audit.leaks[0].text, HasSubstr("Discharged on the following"));
  corpus.visits[1].note = "History of Present Illness: Was discharged last week.";
  EXPECT_THAT(Kinds(corpus), IsEmpty()) << "an earlier discharge is known";
}

TEST(AuditLeaks, PreviousVisit_MustHaveEnded) {
  Corpus corpus = TwoVisits();
  corpus.visits[0].discharged = 101;
  EXPECT_THAT(Kinds(corpus), ElementsAre("previous visit that goes on"));
  corpus.visits[0].admitted = 102;
  EXPECT_THAT(Kinds(corpus), ElementsAre("previous visit that begins later"));
  corpus.visits[0].discharged = corpus.visits[0].admitted = kNoTime;
  EXPECT_THAT(Kinds(corpus), IsEmpty()) << "not told";
}

TEST(AuditLeaks, VisitGivenTwice_IsFound) {
  Corpus corpus = TwoVisits();
  corpus.visits[1].hadm = 10;
  EXPECT_THAT(Kinds(corpus), ElementsAre("visit given twice"));
}

}  // namespace
}  // namespace flame
