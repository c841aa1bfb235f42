#include "launch/cli/parse_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Declaration kPaint = {"paint",
                            "paints a wall",
                            {"flame paint north --coats 2"},
                            "Paints.\n",
                            {"WALL", 1, 1, {"north", "south"}},
                            {{"coats", "N", "coats of paint, 1 by default"},
                             {"shade", "S", "shade between 0 and 1"},
                             {"color", "COLOR", "color of the wall", {"red", "blue"}},
                             {"dry", "", "wait until it is dry"}},
                            /*takes_config=*/true};

std::string MessageOf(const Arguments& arguments) {
  try {
    ParseOptions(kPaint, arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(ParseOptions, OptionsWordsAndOverrides_AreTakenApart) {
  const ParsedOptions parsed = ParseOptions(
      kPaint, {"--coats=2", "north", "run.seed=3", "--color", "red", "--dry", "a.b=[1, 2]"});
  EXPECT_THAT(parsed.words, ElementsAre("north"));
  EXPECT_THAT(parsed.overrides, ElementsAre("run.seed=3", "a.b=[1, 2]"));
  EXPECT_EQ(parsed.Count("coats", 1, 1, 9), 2);
  EXPECT_EQ(parsed.Text("color"), "red");
  EXPECT_TRUE(parsed.Has("dry"));
  EXPECT_THAT(parsed.Names(), ElementsAre("coats", "color", "dry"));
}

TEST(ParseOptions, NothingGiven_DefaultsHold) {
  const ParsedOptions parsed = ParseOptions(kPaint, {"south"});
  EXPECT_EQ(parsed.Count("coats", 1, 1, 9), 1);
  EXPECT_EQ(parsed.Number("shade", 0.5), 0.5);
  EXPECT_EQ(parsed.Text("color", "blue"), "blue");
  EXPECT_FALSE(parsed.Has("dry"));
  EXPECT_THAT(parsed.overrides, IsEmpty());
}

TEST(ParseOptions, ShorthandOfConfig_IsTaken) {
  EXPECT_EQ(ParseOptions(kPaint, {"north", "-c", "a.yaml"}).Text("config"), "a.yaml");
}

TEST(ParseOptions, Help_ChecksNothingElse) {
  EXPECT_TRUE(ParseOptions(kPaint, {"--help"}).help);
  EXPECT_TRUE(ParseOptions(kPaint, {"-h", "east"}).help);
}

TEST(ParseOptions, UnknownOption_NamesTheNearest) {
  EXPECT_THAT(MessageOf({"north", "--coat", "2"}),
              HasSubstr("--coat is no option of flame paint; nearest is --coats"));
  EXPECT_THAT(MessageOf({"north", "--coatz=2"}),
              HasSubstr("--coatz is no option of flame paint; nearest is --coats"));
  EXPECT_THAT(MessageOf({"north", "--elephant"}),
              HasSubstr("--elephant is no option of flame paint; see flame paint --help"));
}

TEST(ParseOptions, PrefixOfAnOption_IsRefused) {
  EXPECT_THAT(MessageOf({"north", "--col", "red"}), HasSubstr("--col is no option"));
}

TEST(ParseOptions, MissingValue_IsRefused) {
  EXPECT_THAT(MessageOf({"north", "--coats"}), HasSubstr("--coats has no value"));
}

TEST(ParseOptions, OptionGivenTwice_IsRefused) {
  EXPECT_THAT(MessageOf({"north", "--coats", "1", "--coats", "2"}),
              HasSubstr("--coats is given more than once"));
}

TEST(ParseOptions, ValueThatIsNoChoice_NamesTheChoices) {
  EXPECT_THAT(MessageOf({"north", "--color", "green"}),
              HasSubstr("--color is 'green'; expected red or blue"));
}

TEST(ParseOptions, Words_AreCountedAndChosen) {
  EXPECT_THAT(MessageOf({}), HasSubstr("no WALL is given; expected north or south"));
  EXPECT_THAT(MessageOf({"east"}), HasSubstr("WALL is 'east'; expected north or south"));
  EXPECT_THAT(MessageOf({"north", "south"}),
              HasSubstr("argument 'south' is not understood; expected WALL and key=value"));
}

TEST(ParsedOptions, CountOutOfRange_NamesTheRange) {
  for (const char* text : {"0", "10", "1.5", "two", " ", "99999999999999999999"}) {
    const ParsedOptions parsed = ParseOptions(kPaint, {"north", std::string("--coats=") + text});
    EXPECT_THROW(parsed.Count("coats", 1, 1, 9), UsageError) << text;
  }
}

TEST(ParsedOptions, NumberThatIsNone_IsRefused) {
  for (const char* text : {"nan", "inf", "1x", " "}) {
    const ParsedOptions parsed = ParseOptions(kPaint, {"north", std::string("--shade=") + text});
    EXPECT_THROW(parsed.Number("shade", 0), UsageError) << text;
  }
  EXPECT_EQ(ParseOptions(kPaint, {"north", "--shade=-0.5"}).Number("shade", 0), -0.5);
}

TEST(ParsedOptions, RequiredOption_IsNamedWithItsHelp) {
  const ParsedOptions parsed = ParseOptions(kPaint, {"north"});
  try {
    parsed.Required("color");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--color is missing: color of the wall"));
  }
}

TEST(Declarations, EveryOptionOfACommand_HasAHelpAndANameOfItsOwn) {
  for (const Declaration& command : Declarations()) {
    EXPECT_FALSE(command.examples.empty()) << command.name;
    std::vector<std::string> names;
    for (const OptionDeclaration& option : AllOptions(command)) {
      EXPECT_NE(option.help, "") << command.name << " --" << option.name;
      EXPECT_EQ(std::count(names.begin(), names.end(), option.name), 0) << option.name;
      names.push_back(option.name);
    }
  }
}

}  // namespace
}  // namespace flame
