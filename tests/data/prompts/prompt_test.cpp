#include "data/prompts/prompt.h"

#include <nlohmann/json.hpp>

#include "base/files/atomic_file.h"
#include "data/prompts/texts.h"
#include "paths.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Ge;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::filesystem::path kConfigs = FLAME_SOURCE_DIR "/configs";

Corpus SmallCorpus() {
  Corpus corpus;
  corpus.num_patients = 2;
  corpus.diagnoses = {{"0389", "4280"}, {"Septicemia NOS", "CHF {note}"}};
  corpus.procedures = {{"3893"}, {"Venous cath"}};
  corpus.drugs = {{"DB1", "DB2", "DB3"}, {"Aspirin", "5-FU", "Beta carotene"}};
  const std::string note =
      "Allergies: Latex, nuts.\nPast Medical History: Gout.\nMedications on Admission: Iron";
  corpus.visits = {{1, 10, 0, -1, 70, 'F', Split::kTrain, {0, 1}, {0}, {2, 0}, "", -1, -1},
                   {1, 11, 0, 0, 71, 'F', Split::kTrain, {1}, {0}, {1}, note, -1, -1},
                   {2, 20, 1, -1, 9, 'M', Split::kTest, {0}, {0}, {0, 1, 2}, "", -1, -1}};
  return corpus;
}

EntityTokens AllSlots(int32_t first) { return {{first, first + 2, first + 3}, {2, 1, 3}}; }

// Appends the slots of SmallCorpus to a tokenizer, in the order of AllSlots.
EntityTokens AddSlots(Tokenizer* tokenizer) {
  return AllSlots(tokenizer->AddSpecialTokens(
      {"<DiagEmb-0>", "<DiagEmb-1>", "<ProcEmb-0>", "<DrugEmb-0>", "<DrugEmb-1>", "<DrugEmb-2>"}));
}

class PromptTest : public testing::Test {
 protected:
  // Trains a byte-level tokenizer on the prompts of the corpus.
  Tokenizer Train(const std::filesystem::path& templates) {
    TrainTokenizer(PromptBuilder::CorpusTexts(templates, corpus_), 400, folder_ / "tokenizer.json");
    return Tokenizer::Load(folder_ / "tokenizer.json");
  }

  std::filesystem::path WriteTemplates(const std::string& old_text, const std::string& new_text) {
    std::string text = ReadWholeFile(kConfigs / "prompts-compact.yaml");
    const size_t at = text.find(old_text);
    EXPECT_NE(at, std::string::npos) << old_text;
    WriteText(folder_ / "prompts.yaml", text.replace(at, old_text.size(), new_text));
    return folder_ / "prompts.yaml";
  }

  std::string FailureWith(const std::string& old_text, const std::string& new_text) {
    const auto path = WriteTemplates(old_text, new_text);
    return MessageOf([&] { PromptTexts(path, corpus_, EntityTokens()); });
  }

  Corpus corpus_ = SmallCorpus();
  TemporaryFolder folder_;
};

TEST_F(PromptTest, PaperTemplates_TextByHand) {
  const PromptTexts texts(kConfigs / "prompts.yaml", corpus_, AllSlots(500));
  EXPECT_THAT(
      texts.ClassifierTrunk(1),
      HasSubstr("Answer Yes. or No.\n"
                "Previous visit: Age: 70, Gender: F, Diagnose: [Septicemia NOS <DiagEmb-0>, "
                "CHF {note} <DiagEmb-1>], Procedure: [Venous cath <ProcEmb-0>], Drug names: "
                "[Beta carotene, Aspirin]\n"
                "Patient representation: Allergies: Latex, nuts.\nPast Medical History: Gout.\n"
                "Medications on Admission: Iron\n"
                "Diagnose: [CHF {note} <DiagEmb-1>], Procedure: [Venous cath <ProcEmb-0>]\n"));
  EXPECT_EQ(texts.Candidate(1), "Candidate drug: 5-FU <DrugEmb-1>.\nAnswer:\n");
  EXPECT_EQ(texts.Question({2, 0}, Edit::kRemove),
            "Drug list:\nBeta carotene <DrugEmb-2>\nAspirin <DrugEmb-0>\nDrugs to Remove:\n");
  EXPECT_THAT(texts.ListTrunk(0),
              HasSubstr("one a line.\nPatient representation: Age: 70, Gender: F, Diagnose: ["));
}

TEST_F(PromptTest, CompactTemplates_TextByHand) {
  const PromptTexts texts(kConfigs / "prompts-compact.yaml", corpus_, EntityTokens());
  EXPECT_EQ(texts.ClassifierTrunk(1),
            "Before: Beta carotene, Aspirin\n71 F\nDx: CHF {note}\nProc: Venous cath\n"
            "Allergies: Latex, nuts.\nHome: Iron\nDrug?\n");
  EXPECT_EQ(texts.ClassifierTrunk(2), "9 M\nDx: Septicemia NOS\nProc: Venous cath\nDrug?\n");
  EXPECT_EQ(texts.Candidate(0), "Aspirin\n");
  EXPECT_EQ(texts.Question({}, Edit::kAdd), "List:\nAdd:\n");
  EXPECT_EQ(texts.Answer({2, 1}), "Beta carotene\n5-FU\n");
}

TEST_F(PromptTest, DrugsThatTheNoteNames_HaveTheirSlots) {
  corpus_.visits[1].note = "Allergies: 5-fu, latex.\nMedications on Admission: aspirin 81 mg, Iron";
  const PromptTexts texts(kConfigs / "prompts-compact.yaml", corpus_, AllSlots(500));
  EXPECT_THAT(texts.ListTrunk(1), HasSubstr("Allergies: 5-fu<DrugEmb-1>, latex.\n"
                                            "Home: aspirin<DrugEmb-0> 81 mg, Iron\n"));
  EXPECT_THAT(texts.ListTrunk(1),
              HasSubstr("Before: Beta carotene<DrugEmb-2>, Aspirin<DrugEmb-0>"));
}

TEST_F(PromptTest, CurrentDrugs_NeverInATrunk) {
  for (const char* name : {"prompts.yaml", "prompts-compact.yaml"}) {
    const PromptTexts texts(kConfigs / name, corpus_, AllSlots(500));
    for (int32_t visit : {0, 2}) {
      EXPECT_THAT(texts.ClassifierTrunk(visit) + texts.ListTrunk(visit),
                  AllOf(Not(HasSubstr("Aspirin")), Not(HasSubstr("DrugEmb"))));
    }
  }
  const auto path = WriteTemplates("Dx: {diagnoses}", "Dx: {diagnoses} {drugs}");
  EXPECT_THAT(MessageOf([&] { PromptTexts(path, corpus_, EntityTokens()); }),
              HasSubstr("template 'visit': unknown placeholder {drugs}"));
}

TEST_F(PromptTest, SlotsAbsent_SpaceBeforeThemToo) {
  const PromptTexts texts(kConfigs / "prompts.yaml", corpus_, EntityTokens());
  EXPECT_EQ(texts.Candidate(1), "Candidate drug: 5-FU.\nAnswer:\n");
}

TEST_F(PromptTest, CandidateEndsInSlot_NoBreak) {
  const PromptTexts texts(kConfigs / "prompts-compact.yaml", corpus_, AllSlots(500));
  EXPECT_EQ(texts.Candidate(1), "5-FU<DrugEmb-1>");
}

TEST_F(PromptTest, SingleNoteSections_ByPlaceholder) {
  const auto path = WriteTemplates("Home: {note_medications}", "History: {note_history}");
  EXPECT_THAT(PromptTexts(path, corpus_, EntityTokens()).ListTrunk(1),
              AllOf(HasSubstr("History: Gout.\n"), Not(HasSubstr("Iron"))));
}

TEST_F(PromptTest, BadTemplates_Named) {
  EXPECT_THAT(FailureWith("    {name}{slot}", "    {name}{slt}"),
              HasSubstr("template 'classifier.candidate': unknown placeholder {slt}; nearest is "
                        "{slot}"));
  EXPECT_THAT(FailureWith("    {name}{slot}", "    drug"),
              HasSubstr("'classifier.candidate' does not have the placeholder {name}"));
  EXPECT_THAT(FailureWith("  remove: |", "  delete: |"), HasSubstr("no template 'list.remove'"));
  EXPECT_THAT(FailureWith("separator:", "colour: red\nseparator:"),
              HasSubstr("unknown template 'colour'"));
  EXPECT_THAT(FailureWith("\"no\": \"No\"", "\"no\": \" No\""),
              HasSubstr("'classifier.no' is empty or begins with white space"));
  EXPECT_THAT(FailureWith("Dx: {diagnoses}", "Dx: {diagnoses"), HasSubstr("'{' without '}'"));
  EXPECT_THAT(FailureWith("list:", "list: ["), HasSubstr("not YAML"));
  EXPECT_THAT(MessageOf([&] { PromptTexts(folder_ / "no.yaml", corpus_, EntityTokens()); }),
              HasSubstr("no.yaml: cannot be read"));
}

TEST_F(PromptTest, AnswerThatBeginsTheOther_Refused) {
  const auto path = WriteTemplates("\"no\": \"No\"", "\"no\": \"Yes not\"");
  const Tokenizer tokenizer = Train(kConfigs / "prompts-compact.yaml");
  EXPECT_THAT(MessageOf([&] { PromptBuilder(path, corpus_, tokenizer, EntityTokens()); }),
              HasSubstr("the answers 'Yes' and 'Yes not' differ nowhere before one ends"));
}

// The tokens that both answers begin with stand at the end of every candidate.
TEST_F(PromptTest, AnswersWithEqualFirstTokens_ComparedWhereTheyDiffer) {
  const auto path = WriteTemplates("\"no\": \"No\"", "\"no\": \"Yet\"");
  const Tokenizer tokenizer = Train(kConfigs / "prompts-compact.yaml");
  const PromptBuilder prompts(path, corpus_, tokenizer, EntityTokens());
  const PromptTexts texts(path, corpus_, EntityTokens());
  const std::vector<int32_t> yes = tokenizer.Encode("Yes"), no = tokenizer.Encode("Yet");
  ASSERT_EQ(yes.front(), no.front()) << "the tokenizer has learnt a word whole";
  std::vector<int32_t> branch = tokenizer.Encode(texts.Candidate(1));
  size_t same = 0;
  for (; yes[same] == no[same]; ++same) branch.push_back(yes[same]);
  EXPECT_EQ(prompts.CandidateBranch(1), branch);
  EXPECT_EQ(prompts.yes_id(), yes[same]);
  EXPECT_EQ(prompts.no_id(), no[same]);
}

TEST_F(PromptTest, SlotsNotInTokenizer_Refused) {
  Tokenizer tokenizer = Train(kConfigs / "prompts.yaml");
  EntityTokens slots = AddSlots(&tokenizer);
  slots.first[0] += 1;
  const auto build = [&] { PromptBuilder(kConfigs / "prompts.yaml", corpus_, tokenizer, slots); };
  EXPECT_THAT(MessageOf(build), HasSubstr("slot <DiagEmb-0> is token"));
  slots.first[0] -= 1;
  slots.count[2] = 4;
  EXPECT_THAT(MessageOf(build), HasSubstr("4 slots like <DrugEmb-0>; the corpus has 3"));
}

TEST_F(PromptTest, PatientsSlot_IdOfItsVisit) {
  for (const char* name : {"prompts.yaml", "prompts-compact.yaml"}) {
    Tokenizer tokenizer = Train(kConfigs / name);
    EntityTokens slots = AddSlots(&tokenizer);
    const PromptBuilder without(kConfigs / name, corpus_, tokenizer, slots);
    slots.visit = tokenizer.AddSpecialTokens({kVisitToken});
    const PromptTexts texts(kConfigs / name, corpus_, slots);
    const PromptBuilder prompts(kConfigs / name, corpus_, tokenizer, slots);
    for (int32_t visit = 0; visit < 3; ++visit) {
      for (const auto& [ids, text] :
           {std::pair(prompts.ClassifierTrunk(visit), texts.ClassifierTrunk(visit)),
            std::pair(prompts.ListTrunk(visit), texts.ListTrunk(visit))}) {
        EXPECT_EQ(std::count(ids.begin(), ids.end(), slots.visit + visit), 1);
        std::vector<int32_t> shared = tokenizer.Encode(text);
        EXPECT_EQ(std::count(shared.begin(), shared.end(), slots.visit), 1);
        std::replace(shared.begin(), shared.end(), slots.visit, slots.visit + visit);
        EXPECT_EQ(std::vector<int32_t>(ids.begin() + 1, ids.end()), shared);
      }
      EXPECT_THAT(without.ListTrunk(visit), Not(Contains(Ge(slots.visit))));
    }
  }
}

TEST_F(PromptTest, PatientsSlot_TextByHand) {
  EntityTokens slots;
  slots.visit = 500;
  EXPECT_THAT(PromptTexts(kConfigs / "prompts.yaml", corpus_, slots).ListTrunk(0),
              HasSubstr("one a line.\nPatient representation: <VisitEmb>, Age: 70, Gender: F"));
  EXPECT_THAT(PromptTexts(kConfigs / "prompts-compact.yaml", corpus_, slots).ListTrunk(2),
              StartsWith("<VisitEmb>, 9 M\nDx: "));
}

TEST_F(PromptTest, PatientsSlotWithoutItsPlace_Refused) {
  EntityTokens slots;
  slots.visit = 500;
  const auto path = WriteTemplates("{patient}", "");
  EXPECT_THAT(MessageOf([&] { PromptTexts(path, corpus_, slots); }),
              HasSubstr("template 'classifier.trunk' does not have the placeholder {patient}"));
  Tokenizer tokenizer = Train(kConfigs / "prompts.yaml");
  slots.visit = tokenizer.AddSpecialTokens({kVisitToken, "<more>"});
  EXPECT_THAT(
      MessageOf([&] { PromptBuilder(kConfigs / "prompts.yaml", corpus_, tokenizer, slots); }),
      HasSubstr("its last"));
}

// Compares the joined ids of pieces with the ids of the joined text.
void ExpectSeamsHold(const std::filesystem::path& templates, const Corpus& corpus,
                     const Tokenizer& tokenizer, const EntityTokens& slots) {
  const PromptBuilder prompts(templates, corpus, tokenizer, slots);
  const PromptTexts texts(templates, corpus, slots);
  const auto ids_of = [&](const std::string& text) {
    std::vector<int32_t> ids = tokenizer.Encode(text);
    ids.insert(ids.begin(), tokenizer.bos_id());
    return ids;
  };
  const auto join = [](std::vector<int32_t> a, const std::vector<int32_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  for (int32_t visit = 0; visit < 3; ++visit) {
    for (int32_t drug = 0; drug < 3; ++drug) {
      const std::string yes = texts.ClassifierTrunk(visit) + texts.Candidate(drug) + texts.yes();
      EXPECT_EQ(join(join(prompts.ClassifierTrunk(visit), prompts.CandidateBranch(drug)),
                     tokenizer.Encode(texts.yes())),
                ids_of(yes));
    }
    for (const std::vector<int32_t>& list : {std::vector<int32_t>{}, {1}, {2, 0}}) {
      for (Edit edit : {Edit::kAdd, Edit::kRemove}) {
        std::vector<int32_t> ids =
            join(join(prompts.ListTrunk(visit), prompts.ListQuestion(list, edit)),
                 prompts.ListAnswer({1, 2, 0}));
        EXPECT_EQ(ids.back(), prompts.end_id());
        ids.pop_back();
        EXPECT_EQ(ids, ids_of(texts.ListTrunk(visit) + texts.Question(list, edit) +
                              texts.Answer({1, 2, 0})));
      }
    }
  }
}

TEST_F(PromptTest, PiecesJoined_IdsOfJoinedText) {
  for (const char* name : {"prompts.yaml", "prompts-compact.yaml"}) {
    Tokenizer tokenizer = Train(kConfigs / name);
    ExpectSeamsHold(kConfigs / name, corpus_, tokenizer, EntityTokens());
    const EntityTokens slots = AddSlots(&tokenizer);
    ExpectSeamsHold(kConfigs / name, corpus_, tokenizer, slots);
    EXPECT_THAT(PromptBuilder(kConfigs / name, corpus_, tokenizer, slots).CandidateBranch(1),
                Contains(slots.first[2] + 1));
  }
}

// Llama 3's split pattern keeps line breaks with punctuation, and the added merges would join
// characters over a line break at any chance. Joined ids must equal the joined text's even then.
TEST_F(PromptTest, PiecesJoinedLlama3_IdsOfJoinedText) {
  Train(kConfigs / "prompts.yaml");
  auto file = nlohmann::json::parse(ReadWholeFile(folder_ / "tokenizer.json"));
  const std::string line_break = "\u010a";
  int32_t next = static_cast<int32_t>(file["model"]["vocab"].size());
  for (const auto& [left, right] :
       std::vector<std::pair<std::string, std::string>>{{":", line_break},
                                                        {".", line_break},
                                                        {"]", line_break},
                                                        {"?", line_break},
                                                        {">", line_break},
                                                        {line_break, "A"},
                                                        {line_break, "C"},
                                                        {line_break, "D"},
                                                        {line_break, "Y"},
                                                        {line_break, "N"},
                                                        {line_break, "5"},
                                                        {line_break, "B"}}) {
    file["model"]["vocab"][left + right] = next++;
    file["model"]["merges"].push_back({left, right});
  }
  file["pre_tokenizer"] = nlohmann::json::parse(R"json({"type": "Sequence", "pretokenizers": [
    {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex":
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})json");
  WriteText(folder_ / "tokenizer.json", file.dump());
  Tokenizer tokenizer = Tokenizer::Load(folder_ / "tokenizer.json");
  ASSERT_EQ(tokenizer.Encode(":\n").size(), 1u) << "the merges are not in use";
  ExpectSeamsHold(kConfigs / "prompts.yaml", corpus_, tokenizer, EntityTokens());
  const EntityTokens slots = AddSlots(&tokenizer);
  ExpectSeamsHold(kConfigs / "prompts.yaml", corpus_, tokenizer, slots);
  ExpectSeamsHold(kConfigs / "prompts-compact.yaml", corpus_, tokenizer, slots);
}

TEST_F(PromptTest, Answers_EndOfText) {
  const Tokenizer tokenizer = Train(kConfigs / "prompts.yaml");
  const PromptBuilder prompts(kConfigs / "prompts.yaml", corpus_, tokenizer, EntityTokens());
  EXPECT_EQ(prompts.ListAnswer({}), std::vector<int32_t>{tokenizer.eos_id()});
  EXPECT_EQ(tokenizer.Decode(prompts.ListAnswer({2})), "Beta carotene\n");
  EXPECT_NE(prompts.yes_id(), prompts.no_id());
  EXPECT_EQ(prompts.ClassifierTrunk(0)[0], tokenizer.bos_id());
}

TEST_F(PromptTest, CorpusTexts_HoldEveryPiece) {
  const auto texts = PromptBuilder::CorpusTexts(kConfigs / "prompts.yaml", corpus_);
  EXPECT_THAT(texts, AllOf(Contains("Yes."), Contains("No."), Contains("5-FU\n"),
                           Contains("Candidate drug: Aspirin.\nAnswer:\n")));
}

TEST(EntityTokenTest, Names_OfEachKind) {
  EXPECT_EQ(EntityToken(EntityKind::kDiagnosis, 7), "<DiagEmb-7>");
  EXPECT_EQ(EntityToken(EntityKind::kProcedure, 0), "<ProcEmb-0>");
  EXPECT_EQ(EntityToken(EntityKind::kDrug, 45), "<DrugEmb-45>");
}

}  // namespace
}  // namespace flame
