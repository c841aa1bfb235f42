// Grammars of a list of drugs, for servers with structured output: what grpo.constrain=drugs
// guarantees here. A list is one name a line, each line ended by a line break, then the end of the
// text.
#ifndef FLAME_LAUNCH_EXPORT_DRUG_GRAMMAR_H_
#define FLAME_LAUNCH_EXPORT_DRUG_GRAMMAR_H_

#include <string>
#include <vector>

namespace flame {

// Returns a grammar in GBNF (llama.cpp, grammars/README.md).
std::string DrugGbnf(const std::vector<std::string>& names);

// Returns a regular expression of a whole list, in the syntax that Python's re, vLLM's and SGLang's
// structured output have in common.
std::string DrugRegex(const std::vector<std::string>& names);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_DRUG_GRAMMAR_H_
