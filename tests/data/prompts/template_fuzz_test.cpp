// Templates of any text, by seed: prompts, or an error in words that names the template or the
// file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/prompts/template.h"
#include "data/prompts/texts.h"
#include "paths.h"
#include "tests/base/spoil.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(TemplateFuzz, AnyText_RendersOrNamesTheTemplate) {
  const std::string pieces[] = {"{",  "}", "{a}", "{b}",    " {a}", "{c}",
                                "\n", " ", "x",   "\u00e9", "{{",   "}}"};
  Random random(3);
  int rendered = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (size_t i = Below(random, 8); i > 0; --i) text += pieces[Below(random, std::size(pieces))];
    try {
      const PromptTemplate made(text, {"a"}, {"b"}, "file, template 'x'");
      const std::string full = made.Render({{"a", "{b}"}, {"b", "B"}});
      EXPECT_THAT(full, HasSubstr("{b}")) << "a value is text: " << text;
      EXPECT_EQ(full, made.Render({{"a", "{b}"}, {"b", "B"}}));
      made.Render({{"a", ""}, {"b", ""}});
      ++rendered;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), StartsWith("file, template 'x'"));
    }
  }
  EXPECT_GT(rendered, 100);
}

TEST(TemplateFuzz, SpoiledFiles_PromptsOrAnErrorThatNamesTheFile) {
  Corpus corpus;
  corpus.diagnoses = {{"0389"}, {"Septicemia NOS"}};
  corpus.procedures = {{"3893"}, {"Venous cath"}};
  corpus.drugs = {{"DB1", "DB2"}, {"Aspirin", "5-FU"}};
  corpus.num_patients = 1;
  Visit visit;
  visit.diagnoses = {0};
  visit.procedures = {0};
  visit.drugs = {1};
  corpus.visits = {visit, visit};
  corpus.visits[1].previous = 0;
  corpus.visits[1].note = "Allergies: Aspirin\nMedications on Admission: Iron";
  const TemporaryFolder folder;
  const auto file = folder / "prompts.yaml";
  Random random(7);
  int whole = 0;
  for (const char* name : {"prompts-compact.yaml", "prompts.yaml"}) {
    const std::string text =
        ReadWholeFile(std::filesystem::path(FLAME_SOURCE_DIR "/configs") / name);
    for (int round = 0; round < 700; ++round) {
      WriteFileAtomically(file, SpoiledText(random, text));
      try {
        const PromptTexts prompts(file, corpus, EntityTokens());
        for (const int32_t v : {0, 1}) {
          EXPECT_FALSE((prompts.ClassifierTrunk(v) + prompts.ListTrunk(v)).empty());
        }
        ++whole;
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("prompts.yaml"));
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what() << ": " << ReadWholeFile(file);
      }
    }
  }
  EXPECT_GT(whole, 100);
}

}  // namespace
}  // namespace flame
