// The words of a hospital's drug name that are no drug: salts, strengths, forms, routes, fluids.
#ifndef FLAME_DATA_TABLES_DRUG_NAME_WORDS_H_
#define FLAME_DATA_TABLES_DRUG_NAME_WORDS_H_

#include <string_view>

namespace flame {

enum class WordKind {
  kNone,
  kSalt,     // an anion or a hydrate: hcl, tartrate, monohydrate
  kCation,   // a metal that is a salt behind a drug and may be a drug elsewhere: potassium
  kElement,  // a metal that may be an ingredient behind a drug, so never a salt: calcium, zinc
  kForm,     // form, route, container, unit, instruction: tablet, iv, vial, mg, locked dose
  kRelease,  // a form that a brand may join with a hyphen: xl, odt
  kUnit,     // a short unit, which means one only behind a number or a unit: g, l, hr
  kJoin,     // joins ingredients as a sign does: and, with, w
  kFluid,    // a fluid without a DrugBank id: lactated ringers, sterile water
  kFlush,    // a drug's form behind a drug, and no drug alone
  kConsult,  // an order for a service, whatever drug it names
  kFlavour,  // a food that DrugBank lists as an allergen and that names a flavour here
};

// The most words of a phrase that WordKindOf knows.
inline constexpr size_t kMaxWordsOfPhrase = 3;

// Returns the kind of a phrase: lower case, its words parted by single spaces.
WordKind WordKindOf(std::string_view phrase);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_DRUG_NAME_WORDS_H_
