#include "launch/cli/help.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/text_wrap.h"
#include "launch/config/config.h"
#include "launch/sweep/file.h"

namespace flame {
namespace {

constexpr size_t kLeastWidth = 40, kMostWidth = 100, kPlainWidth = 80;
constexpr char kResearch[] = "Research software: it must not be used to treat patients.\n";

std::string Choices(const OptionDeclaration& option) {
  std::string text;
  for (const std::string& choice : option.choices) text += (text.empty() ? "" : ", ") + choice;
  return text.empty() ? "" : " (" + text + ")";
}

std::string OptionsHelp(const std::vector<OptionDeclaration>& options, size_t width) {
  TwoColumns rows;
  for (const OptionDeclaration& option : options) {
    const std::string shorthand = option.name == "help"     ? "-h, "
                                  : option.name == "config" ? "-c, "
                                                            : "";
    rows.push_back(
        {shorthand + "--" + option.name + (option.value.empty() ? "" : " ") + option.value,
         option.help + Choices(option)});
  }
  return WrapColumns(rows, width);
}

}  // namespace

size_t HelpWidth() {
  winsize size = {};
  const bool terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return terminal ? std::clamp<size_t>(size.ws_col, kLeastWidth, kMostWidth) : kPlainWidth;
}

std::string ProgramHelp(size_t width) {
  TwoColumns rows;
  for (const Declaration& command : Declarations()) rows.push_back({command.name, command.summary});
  return "flame pipeline --config configs/quickstart.yaml\n\n" +
         WrapText(
             "Trains language models to recommend medication, from a hospital's tables to an "
             "evaluated policy.",
             width) +
         kResearch + "\nCommands (flame COMMAND --help tells more):\n" + WrapColumns(rows, width) +
         "\nflame --version prints the version and that of its libraries.\n";
}

std::string CommandHelp(const Declaration& declaration, size_t width) {
  std::string text;
  for (const std::string& example : declaration.examples) text += example + "\n";
  text += "\n" + WrapText(declaration.text, width) + kResearch;
  text += "\nOptions:\n" + OptionsHelp(AllOptions(declaration), width);
  if (declaration.takes_config) {
    text += "\n" +
            WrapText("Config keys, as a.b=value on the command line or nested in YAML:", width) +
            ConfigHelp(width);
  }
  if (declaration.name == "sweep") {
    text += "\n" +
            WrapText("Keys of a sweep file, besides grid, list and random.keys (docs/sweeps.md):",
                     width) +
            SweepFileHelp(width);
  }
  return text;
}

}  // namespace flame
