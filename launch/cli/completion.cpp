#include "launch/cli/completion.h"

#include "base/error.h"
#include "launch/cli/declaration.h"
#include "launch/config/config.h"

namespace flame {
namespace {

std::string Spaced(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// A branch of `case $command in` for each command: the words that may come next.
std::string WordsOfCommands() {
  std::string text;
  for (const Declaration& command : Declarations()) {
    std::vector<std::string> words = command.words.choices;
    for (const OptionDeclaration& option : AllOptions(command)) {
      words.push_back("--" + option.name);
    }
    text += StrCat("    ", command.name, ") choices='", Spaced(words), "'",
                   command.takes_config ? "; keys=1" : "", " ;;\n");
  }
  return text;
}

// A branch of `case $command$previous in` for each option that takes a value: its choices, or
// "files".
std::string ValuesOfOptions() {
  std::string text;
  for (const Declaration& command : Declarations()) {
    for (const OptionDeclaration& option : AllOptions(command)) {
      if (option.value.empty()) continue;
      const std::string values =
          option.choices.empty() ? "files=1" : "choices='" + Spaced(option.choices) + "'";
      text += StrCat("    '", command.name, " --", option.name, "') ", values, " ;;\n");
    }
  }
  return text;
}

std::string CommandNames() {
  std::vector<std::string> names;
  for (const Declaration& command : Declarations()) names.push_back(command.name);
  return Spaced(names) + " --help --version";
}

std::string KeyWords() {
  std::vector<std::string> words;
  for (const std::string& name : ConfigKeyNames()) words.push_back(name + "=");
  return Spaced(words);
}

// Sets the variables choices, keys and files to the words that may follow. Both shells run this.
std::string Choose() {
  return "  choices=; keys=; files=\n"
         "  case \"$command $previous\" in\n" +
         ValuesOfOptions() + "    *) case \"$command\" in\n" + WordsOfCommands() +
         "    esac\n"
         "    files=1 ;;\n"
         "  esac\n"
         "  if [ -n \"$keys\" ]; then choices=\"$choices " +
         KeyWords() + "\"; fi\n";
}

std::string Bash() {
  return "# Completion of flame for bash: source <(flame completion bash)\n"
         "_flame() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
         "  local command=\"${COMP_WORDS[1]}\" choices keys files\n"
         "  COMPREPLY=()\n"
         "  if ((COMP_CWORD == 1)); then\n"
         "    mapfile -t COMPREPLY < <(compgen -W '" +
         CommandNames() +
         "' -- \"$current\")\n"
         "    return\n"
         "  fi\n" +
         Choose() +
         "  mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$current\")\n"
         "  if [ -n \"$files\" ] && ((${#COMPREPLY[@]} == 0)); then\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "  fi\n"
         "  if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi\n"
         "}\n"
         "complete -F _flame flame\n";
}

std::string Zsh() {
  return "#compdef flame\n"
         "# Completion of flame for zsh: flame completion zsh > a folder of $fpath/_flame\n"
         "_flame() {\n"
         "  local command=\"${words[2]}\" previous=\"${words[CURRENT-1]}\" choices keys files\n"
         "  if ((CURRENT == 2)); then\n"
         "    compadd -- " +
         CommandNames() +
         "\n"
         "    return\n"
         "  fi\n" +
         Choose() +
         "  compadd -S '' -- ${(M)${=choices}:#*=}\n"
         "  compadd -- ${${=choices}:#*=}\n"
         "  if [ -n \"$files\" ]; then _files; fi\n"
         "}\n"
         "if [[ ${funcstack[1]} == _flame ]]; then _flame \"$@\"; else compdef _flame flame; fi\n";
}

}  // namespace

std::string CompletionScript(const std::string& shell) { return shell == "zsh" ? Zsh() : Bash(); }

}  // namespace flame
