#include <cstdint>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/synth/tables.h"
#include "data/synth/text.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Writes titles as the mapping tables have them. `as_numbers` drops the leading zeros of the codes,
// which the table of procedures has lost.
void WriteTitles(const std::vector<SynthCode>& codes, bool as_numbers, const fs::path& path) {
  std::string text = "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE,CONCISE_TITLE\n";
  int32_t row = 0;
  for (const SynthCode& code : codes) {
    const size_t zeros = as_numbers ? code.code.find_first_not_of('0') : 0;
    text += StrCat(++row, ",", code.code.substr(zeros), ",", Quoted(code.short_title), ",",
                   Quoted(code.long_title), ",", Quoted(code.concise_title), "\n");
  }
  WriteFileAtomically(path, text);
}

void WritePackages(const SynthModel& model, const fs::path& path) {
  std::string packages = "NDC,drugbank_id\n";
  for (const SynthDrug& drug : model.drugs) {
    for (const std::string& ndc : drug.ndc) {
      packages += StrCat(ndc.substr(0, 9), ",", drug.drugbank, "\n");
    }
  }
  WriteFileAtomically(path, packages);
}

void WriteSynonyms(const SynthModel& model, const fs::path& path) {
  std::string text = "synonym,drugbank_id\n";
  for (const SynthDrug& drug : model.drugs) {
    if (!drug.synonym.empty()) text += StrCat(drug.synonym, ",", drug.drugbank, "\n");
  }
  for (const SynthCarrier& carrier : model.carriers) {
    for (const std::string& name : carrier.written) {
      text += StrCat(name, ",", carrier.drugbank, "\n");
    }
  }
  WriteFileAtomically(path, text);
}

void WriteDrugs(const SynthModel& model, bool carriers, const fs::path& mappings) {
  std::string names = "drugbank_id,drug_name\n", structures = "index,drug_id,smiles\n";
  int32_t row = 0;
  for (const SynthDrug& drug : model.drugs) {
    names += StrCat(drug.drugbank, ",", drug.name, "\n");
    structures += StrCat(row++, ",", drug.drugbank, ",", drug.smiles, "\n");
  }
  if (carriers) {
    for (const SynthCarrier& carrier : model.carriers) {
      names += StrCat(carrier.drugbank, ",", carrier.name, "\n");
    }
  }
  WriteFileAtomically(mappings / "drugbank_to_name.csv", names);
  WriteFileAtomically(mappings / "drugbank_to_smiles.csv", structures);
}

void WriteIcd9Of(const std::vector<SynthCode>& codes, const fs::path& path) {
  std::string text = "icd10,icd9\n";
  for (const SynthCode& code : codes) text += StrCat(code.icd10, ",", code.code, "\n");
  WriteFileAtomically(path, text);
}

}  // namespace

void WriteSynthMappings(const SynthModel& model, SynthDrugWords words, const fs::path& mappings) {
  const bool named = words == SynthDrugWords::kNames;
  WriteTitles(model.diagnoses, false, mappings / "icd9_diagnoses.csv");
  WriteTitles(model.procedures, true, mappings / "icd9_procedures.csv");
  WriteDrugs(model, /*carriers=*/named, mappings);
  if (named) {
    WriteSynonyms(model, mappings / "drug_synonyms.csv");
  } else {
    WritePackages(model, mappings / "ndc9_to_drugbank.csv");
  }
  std::string pairs = "drug1,drug2,sources\n";
  for (const auto& [first, second, sources] : model.interactions) {
    pairs +=
        StrCat(model.drugs[first].drugbank, ",", model.drugs[second].drugbank, ",", sources, "\n");
  }
  WriteFileAtomically(mappings / "ddi_public.csv", pairs);
}

void WriteSynthCrosswalk(const SynthModel& model, const fs::path& mappings) {
  WriteIcd9Of(model.diagnoses, mappings / "icd10_to_icd9_diagnoses.csv");
  WriteIcd9Of(model.procedures, mappings / "icd10_to_icd9_procedures.csv");
}

}  // namespace flame
