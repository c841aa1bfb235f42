#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr Range kClipRange = {.low = 0, .high = 1, .low_open = true};

struct Settings {
  int64_t group_size = 8;
  double clip = 0.2;
  double learning_rate = 1e-5;
  bool scale_steps = true;
  std::string preset = "tiny";
  std::string segmentation = "line";
  std::string note;
  std::filesystem::path dir = "runs/x";
  std::vector<std::string> targets = {"q_proj", "v_proj"};
  std::vector<int64_t> layers = {0, 1};

  ConfigSchema Bind() {
    ConfigSchema schema;
    schema.Int("grpo.group_size", &group_size, {.low = 2, .high = 64}, "lists sampled a visit");
    schema.Number("grpo.clip", &clip, kClipRange, "ratio kept within 1 +- clip");
    schema.Number("grpo.learning_rate", &learning_rate, {.low = 0, .low_open = true}, "peak");
    schema.Bool("credit.scale_steps", &scale_steps, "divide by the deviation of a step");
    schema.Choice("credit.segmentation", &segmentation, {"line", "chunk:"}, "where steps end");
    schema.Text("model.preset", &preset, "a model made from scratch");
    schema.Text("run.note", &note, "free text");
    schema.Path("run.dir", &dir, "everything is written below it");
    schema.TextList("model.lora.targets", &targets, "projections with adapters");
    schema.IntList("model.lora.layers", &layers, {.low = 0}, "blocks with adapters");
    return schema;
  }
};

// Returns the faults that Load reports for `yaml` (stored as x.yaml), "" if none. The folder's name
// is removed from them.
std::string FaultsOf(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "x.yaml", yaml);
  Settings settings;
  try {
    settings.Bind().Load(folder / "x.yaml", overrides);
  } catch (const UsageError& error) {
    std::string text = error.what();
    const std::string parent = folder.path().string() + "/";
    for (size_t at; (at = text.find(parent)) != std::string::npos;) text.erase(at, parent.size());
    return text;
  }
  return "";
}

TEST(ConfigSchema, NestedMaps_SetDottedKeys) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "x.yaml", R"(
grpo: {group_size: 16, clip: 1}
run:
  dir: ../out
  note: "0x10 # no comment"
model:
  lora:
    targets: [k_proj]
    layers:
      - 4
      - 5
credit.segmentation: chunk:32
)");
  Settings settings;
  settings.Bind().Load(folder / "x.yaml", {});
  EXPECT_EQ(settings.group_size, 16);
  EXPECT_EQ(settings.clip, 1.0);
  EXPECT_EQ(settings.dir, "../out");
  EXPECT_EQ(settings.note, "0x10 # no comment");
  EXPECT_EQ(settings.targets, std::vector<std::string>{"k_proj"});
  EXPECT_EQ(settings.layers, (std::vector<int64_t>{4, 5}));
  EXPECT_EQ(settings.segmentation, "chunk:32");
  EXPECT_EQ(settings.learning_rate, 1e-5);
}

TEST(ConfigSchema, Overrides_WinOverTheFileAndTheLastOverEarlierOnes) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "x.yaml", "grpo:\n  group_size: 16\n");
  Settings settings;
  settings.Bind().Load(folder / "x.yaml",
                       {"grpo.group_size=4", "grpo.group_size=5", "run.note=a=b: [c]",
                        "run.dir=", "model.lora.layers=[7, 8]", "model.lora.targets=[]",
                        "credit.scale_steps=false"});
  EXPECT_EQ(settings.group_size, 5);
  EXPECT_EQ(settings.note, "a=b: [c]");
  EXPECT_EQ(settings.dir, "");
  EXPECT_EQ(settings.layers, (std::vector<int64_t>{7, 8}));
  EXPECT_TRUE(settings.targets.empty());
  EXPECT_FALSE(settings.scale_steps);
}

TEST(ConfigSchema, EveryFault_ReportedAtOnceWithItsLine) {
  EXPECT_EQ(FaultsOf("grpo:\n"
                     "  group_sise: 4\n"
                     "  clip: 7\n"
                     "  learning_rate: fast\n"
                     "credit: {scale_steps: yes}\n",
                     {"grpo.group_size=2.5", "nonsense"}),
            "command line: 'nonsense' is not of the form key=value\n"
            "x.yaml:2: unknown key 'grpo.group_sise'; nearest is 'grpo.group_size'\n"
            "x.yaml:3: grpo.clip is 7; expected a number in (0, 1]\n"
            "x.yaml:4: grpo.learning_rate is fast; expected a number > 0\n"
            "x.yaml:5: credit.scale_steps is yes; expected true or false\n"
            "command line: grpo.group_size is 2.5; expected an integer in [2, 64]");
}

TEST(ConfigSchema, RangeEnds_OpenOnesRefusedClosedOnesTaken) {
  EXPECT_EQ(FaultsOf("grpo.clip: 1"), "");
  EXPECT_EQ(FaultsOf("grpo.clip: 0"), "x.yaml:1: grpo.clip is 0; expected a number in (0, 1]");
  EXPECT_EQ(FaultsOf("grpo.group_size: 64"), "");
  EXPECT_THAT(FaultsOf("grpo.group_size: 65"), HasSubstr("in [2, 64]"));
  EXPECT_THAT(FaultsOf("grpo.learning_rate: nan"), HasSubstr("expected a number > 0"));
  EXPECT_THAT(FaultsOf("grpo.learning_rate: inf"), HasSubstr("expected a number > 0"));
  EXPECT_THAT(FaultsOf("grpo.group_size: 99999999999999999999"), HasSubstr("in [2, 64]"));
}

TEST(ConfigSchema, UnknownKey_SuggestsNearestOrSameNameElsewhere) {
  EXPECT_EQ(FaultsOf("grpo.clp: 1"), "x.yaml:1: unknown key 'grpo.clp'; nearest is 'grpo.clip'");
  EXPECT_EQ(FaultsOf("trainer.sft.clip: 1"),
            "x.yaml:1: unknown key 'trainer.sft.clip'; nearest is 'grpo.clip'");
  EXPECT_EQ(FaultsOf("something_else: 1"), "x.yaml:1: unknown key 'something_else'");
  EXPECT_EQ(FaultsOf("grpo: {clip: {above: 1}}"), "x.yaml:1: unknown key 'grpo.clip.above'");
}

TEST(ConfigSchema, WrongShape_SaysWhatWasExpected) {
  EXPECT_EQ(FaultsOf("grpo.clip: [1, 2]"),
            "x.yaml:1: grpo.clip is [1, 2]; expected one number value");
  EXPECT_EQ(FaultsOf("grpo:\n  clip:\n"),
            "x.yaml:2: grpo.clip is empty; expected one number value");
  EXPECT_EQ(FaultsOf("model.lora.targets: q_proj"),
            "x.yaml:1: model.lora.targets is q_proj; expected a list of texts such as [a, b]");
  EXPECT_EQ(FaultsOf("model.lora.layers: [1, -1]"),
            "x.yaml:1: model.lora.layers is [1, -1]; expected a list of integers >= 0");
  EXPECT_THAT(FaultsOf("model.lora.layers: [[1]]"), HasSubstr("expected a list of integers"));
  EXPECT_EQ(FaultsOf("model: {lora: 5}"),
            "x.yaml:1: 'model.lora' is a section; expected keys below it");
  EXPECT_EQ(FaultsOf("model:\ngrpo:\n  clip: 1"), "") << "a section may be empty";
}

TEST(ConfigSchema, Choice_SuffixNeedsSomethingAfterIt) {
  EXPECT_EQ(FaultsOf("credit.segmentation: chunk:8"), "");
  const std::string expected = "; expected one of line, chunk:";
  EXPECT_EQ(FaultsOf("credit.segmentation: word"),
            "x.yaml:1: credit.segmentation is word" + expected);
  EXPECT_EQ(FaultsOf("credit.segmentation: 'chunk:'"),
            "x.yaml:1: credit.segmentation is chunk:" + expected);
}

TEST(ConfigSchema, KeyTwice_Refused) {
  EXPECT_EQ(FaultsOf("grpo:\n  clip: 1\n  clip: 1\n"), "x.yaml:3: key 'grpo.clip' appears twice");
  EXPECT_EQ(FaultsOf("grpo:\n  clip: 1\ngrpo:\n  clip: 1\n"), "x.yaml:3: key 'grpo' appears twice");
  EXPECT_EQ(FaultsOf("grpo:\n  clip: 1\ngrpo.clip: 1\n"),
            "x.yaml:3: key 'grpo.clip' appears twice");
}

TEST(ConfigSchema, NoReadableYaml_UsageErrorWithLine) {
  EXPECT_THAT(FaultsOf("grpo:\n  clip: [1\n"), HasSubstr("x.yaml:3: not YAML: "));
  EXPECT_EQ(FaultsOf("- a\n- b\n"), "x.yaml:1: expected keys and values, found [a, b]");
  EXPECT_EQ(FaultsOf("a: 1\n---\nb: 2\n"), "x.yaml: expected one YAML document, found 2");
  EXPECT_EQ(FaultsOf(""), "");
  EXPECT_THAT(FaultsOf("", {"model.lora.layers=[1"}),
              HasSubstr("command line: 'model.lora.layers"));
  Settings settings;
  const TemporaryFolder folder;
  EXPECT_THROW(settings.Bind().Load(folder / "absent.yaml", {}), UsageError);
  EXPECT_THROW(settings.Bind().Load(folder.path(), {}), UsageError);
}

TEST(ConfigSchema, ResolvedYaml_GroupsSectionsUnderHelp) {
  Settings settings;
  EXPECT_EQ(settings.Bind().ResolvedYaml(),
            "credit:\n"
            "  # divide by the deviation of a step\n"
            "  scale_steps: true\n"
            "  # where steps end (one of line, chunk:)\n"
            "  segmentation: line\n"
            "grpo:\n"
            "  # ratio kept within 1 +- clip (in (0, 1])\n"
            "  clip: 0.2\n"
            "  # lists sampled a visit (in [2, 64])\n"
            "  group_size: 8\n"
            "  # peak (> 0)\n"
            "  learning_rate: 1e-05\n"
            "model:\n"
            "  lora:\n"
            "    # blocks with adapters (>= 0)\n"
            "    layers: [0, 1]\n"
            "    # projections with adapters\n"
            "    targets: [q_proj, v_proj]\n"
            "  # a model made from scratch\n"
            "  preset: tiny\n"
            "run:\n"
            "  # everything is written below it\n"
            "  dir: runs/x\n"
            "  # free text\n"
            "  note: \"\"\n");
}

TEST(ConfigSchema, ResolvedYamlOfAwkwardValues_LoadsBackEqual) {
  const TemporaryFolder folder;
  Settings awkward;
  awkward.note = "null";
  awkward.preset = "\"quoted\" \\ and\n\ttabs\x01 # é: [x]";
  awkward.dir = "~/a b/100%";
  awkward.targets = {"", "a, b", "- c", "true", "12", "{d}", "null"};
  awkward.layers = {};
  awkward.clip = 0.1 + 0.2;
  awkward.learning_rate = 5e-324;
  WriteFileAtomically(folder / "x.yaml", awkward.Bind().ResolvedYaml());
  Settings loaded;
  loaded.Bind().Load(folder / "x.yaml", {});
  EXPECT_EQ(loaded.note, awkward.note);
  EXPECT_EQ(loaded.preset, awkward.preset);
  EXPECT_EQ(loaded.dir, awkward.dir);
  EXPECT_EQ(loaded.targets, awkward.targets);
  EXPECT_EQ(loaded.layers, awkward.layers);
  EXPECT_EQ(loaded.clip, awkward.clip);
  EXPECT_EQ(loaded.learning_rate, awkward.learning_rate);
  EXPECT_EQ(loaded.Bind().ResolvedYaml(), awkward.Bind().ResolvedYaml());
}

TEST(ConfigSchema, Canonical_HoldsTheKeysUnderPrefixesOnly) {
  Settings settings;
  EXPECT_EQ(settings.Bind().Canonical({"run", "grpo.clip"}),
            "grpo.clip=0.2\nrun.dir=runs/x\nrun.note=\"\"\n");
}

TEST(ConfigSchema, Canonical_PrefixOfNoKey_IsRefused) {
  Settings settings;
  EXPECT_THROW(settings.Bind().Canonical({"run", "cred"}), UsageError);
  EXPECT_THROW(settings.Bind().Canonical({"run."}), UsageError);
}

TEST(ConfigSchema, Help_ShowsDefaultsRangesAndHelp) {
  Settings settings;
  ConfigSchema schema = settings.Bind();
  settings.group_size = 60;
  EXPECT_THAT(schema.Help(80), HasSubstr("  grpo.group_size = 8\n"
                                         "      lists sampled a visit (in [2, 64])\n"));
}

TEST(ConfigSchema, Help_KeepsToTheWidth) {
  Settings settings;
  std::istringstream lines(settings.Bind().Help(40));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 40u) << line;
}

TEST(ConfigSchema, Markdown_HasATableASection) {
  Settings settings;
  EXPECT_THAT(settings.Bind().Markdown(),
              HasSubstr("\n## grpo\n\n| key | default | values | meaning |\n"
                        "| --- | --- | --- | --- |\n"
                        "| `grpo.clip` | `0.2` | in (0, 1] | ratio kept within 1 +- clip |\n"));
}

enum class Color { kRed, kBlue };

TEST(ConfigSchema, Enum_ReadsNamesAndWritesThem) {
  Color color = Color::kRed;
  ConfigSchema schema;
  schema.Enum("paint.color", &color, {{"red", Color::kRed}, {"blue", Color::kBlue}}, "of the wall");
  schema.Load({}, {"paint.color=blue"});
  EXPECT_EQ(color, Color::kBlue);
  EXPECT_THAT(schema.ResolvedYaml(), HasSubstr("color: blue\n"));
  EXPECT_THROW(schema.Load({}, {"paint.color=green"}), UsageError);
  EXPECT_EQ(color, Color::kBlue);
}

TEST(NearestWord, FarWords_None) {
  EXPECT_EQ(NearestWord("evalute", {"evaluate", "export"}), "evaluate");
  EXPECT_EQ(NearestWord("grpo", {"evaluate", "export"}), "");
  EXPECT_EQ(NearestWord("x", {"y"}), "");
  EXPECT_EQ(NearestWord("x", {}), "");
}

}  // namespace
}  // namespace flame
