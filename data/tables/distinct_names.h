// Names of drugs that a list of names can tell apart.
#ifndef FLAME_DATA_TABLES_DISTINCT_NAMES_H_
#define FLAME_DATA_TABLES_DISTINCT_NAMES_H_

#include <string>
#include <vector>

namespace flame {

// Appends " (id)" to every name that matches an earlier one: equal in lower case, without spaces
// and hyphens. `ids` are those of the names.
void MakeDistinct(const std::vector<std::string>& ids, std::vector<std::string>* names);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_DISTINCT_NAMES_H_
