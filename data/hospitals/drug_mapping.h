// A user's own vocabulary of drugs in place of DrugBank's, such as ATC classes.
#ifndef FLAME_DATA_HOSPITALS_DRUG_MAPPING_H_
#define FLAME_DATA_HOSPITALS_DRUG_MAPPING_H_

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/hospitals/hospital.h"

namespace flame {

// The file of data.drug_mapping. Its columns are
//   source  a drug as the hospital writes it: an NDC of 11 digits, or the first 9 of them, which
//           stand for all packages; a name, in any case
//   code    the drug it is, in any vocabulary; in upper case, as mappings' ids are. A source with
//           several codes has a row for each; a row without a code is left out.
//   name    the code's name in prompts and lists; if there is none, the code is its name
// A source of 11 digits stands above one of 9. Worked example, a hospital's packages by ATC:
//   source,code,name
//   00073458001,C03CA01,Furosemide
//   000734581,C03CA01,Furosemide
class DrugMapping : public DrugMap {
 public:
  // `names_drugs`: sources are names, not NDCs. Throws DataError on a missing file or column, on a
  // source that is no NDC of 9 or 11 digits where it must be one, and if no row is left.
  DrugMapping(const std::filesystem::path& file, bool names_drugs);

  const std::vector<std::string>* Find(const std::string& source) const override;
  bool WellFormed(const std::string& source) const override;
  std::string expected() const override;
  std::string place() const override { return file_.string(); }
  std::string vocabulary() const override { return "a code of data.drug_mapping"; }

  // Returns the names of codes, no two of which match each other, as DrugNames does.
  std::vector<std::string> Names(const std::vector<std::string>& codes, Coverage* coverage) const;

 private:
  std::filesystem::path file_;
  bool names_drugs_;
  std::unordered_map<std::string, std::vector<std::string>> codes_;  // by canonical source
  std::unordered_map<std::string, std::string> names_;               // by code
};

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_DRUG_MAPPING_H_
