// A prompt's text with placeholders in braces, cut into lines.
#ifndef FLAME_DATA_PROMPTS_TEMPLATE_H_
#define FLAME_DATA_PROMPTS_TEMPLATE_H_

#include <map>
#include <string>
#include <vector>

namespace flame {

// A line with placeholders is left out if all of them are empty, so "Allergies: {allergies}" needs
// no condition. " {slot}" with an empty slot loses its space too. A value is inserted as it is:
// braces in it mean nothing.
class PromptTemplate {
 public:
  PromptTemplate() = default;
  // `needed` and `allowed` are names of placeholders. Throws DataError, which begins with `where`,
  // if a needed one is missing or `text` has one that is in neither list.
  PromptTemplate(const std::string& text, const std::vector<std::string>& needed,
                 const std::vector<std::string>& allowed, const std::string& where);

  // `values` holds the values of all placeholders of the template, by name.
  std::string Render(const std::map<std::string, std::string>& values) const;

 private:
  struct Part {
    std::string literal;      // precedes the placeholder
    std::string placeholder;  // "": the line's end
  };
  using Line = std::vector<Part>;
  Line ParseLine(const std::string& text, const std::vector<std::string>& known,
                 const std::string& where) const;
  bool Has(const std::string& placeholder) const;

  std::vector<Line> lines_;
  bool ends_with_break_ = false;
};

}  // namespace flame

#endif  // FLAME_DATA_PROMPTS_TEMPLATE_H_
