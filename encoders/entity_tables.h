// Tables of entities' vectors: entities.h5, and those of others.
#ifndef FLAME_ENCODERS_ENTITY_TABLES_H_
#define FLAME_ENCODERS_ENTITY_TABLES_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace flame {

struct EntityTable {
  std::vector<std::string> ids;  // codes, or the HADM_IDs of visits
  at::Tensor vectors;            // float [ids, dim]
};
using EntityTables =
    std::map<std::string, EntityTable>;  // "visit", "diagnosis", "procedure", "drug"

// Writes entities.h5 atomically: for each kind "KIND/ids" (text) and "KIND/vectors" (float32
// [ids, dim]), attribute schema "flame-entities 1", sealed. Throws DataError if a value is no
// finite number.
void WriteEntities(const EntityTables& tables, const std::filesystem::path& path);
// True if an HDF5 file, whose seal has been checked, has the schema of entities.h5.
bool IsEntities(const std::filesystem::path& path);
// Throws DataError if the file is damaged.
EntityTables ReadEntities(const std::filesystem::path& path);

// Returns the vectors of `ids`, in that order, float [ids, dim], from a file of the table of
// `kind`:
//   .h5           "KIND/ids" and "KIND/vectors", as in entities.h5; a seal is checked if there is
//                 one
//   .safetensors  `embeddings` [entities, dim], of floats
//   .npy          an array [entities, dim] of floats (numpy.lib.format, versions 1 to 3)
// The ids of the last two are the lines of the file NAME.ids.txt beside NAME.npy; without it, the
// rows are those of `ids`. Throws DataError if an id is missing or given twice, if the number of
// rows is not that of the ids, or if a value is no finite number.
at::Tensor ReadVectors(const std::filesystem::path& file, const std::string& kind,
                       const std::vector<std::string>& ids);

}  // namespace flame

#endif  // FLAME_ENCODERS_ENTITY_TABLES_H_
