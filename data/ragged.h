// Lists of unequal length in an HDF5 file. `name` holds all values; `name_offsets` (int64, one more
// than there are lists) holds the begin of each list.
#ifndef FLAME_DATA_RAGGED_H_
#define FLAME_DATA_RAGGED_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/files/hdf5.h"

namespace flame {

void WriteRagged(Hdf5File* file, const std::string& name,
                 const std::vector<std::vector<int32_t>>& lists);

// Throws DataError unless there are `num_lists` lists whose values are in 0..`limit` - 1.
// `where` begins the message: the file's path.
std::vector<std::vector<int32_t>> ReadRagged(const Hdf5File& file, const std::string& name,
                                             size_t num_lists, int32_t limit,
                                             const std::string& where);

// Does the same as Hdf5File::Read, and throws DataError unless there are `size` values.
template <class T>
std::vector<T> ReadSized(const Hdf5File& file, const std::string& name, size_t size,
                         const std::string& where);

// Throws DataError unless the file's attribute `schema` is `expected`.
void CheckSchema(const Hdf5File& file, const std::string& expected, const std::string& where);

}  // namespace flame

#endif  // FLAME_DATA_RAGGED_H_
