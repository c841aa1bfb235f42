// Arrays of floats in numpy's format (numpy.lib.format: magic, version, header, data).
#ifndef FLAME_BASE_FILES_NPY_H_
#define FLAME_BASE_FILES_NPY_H_

#include <cstdint>
#include <filesystem>
#include <vector>

namespace flame {

struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;  // row-major
};

// Reads an array of float32 or float64, little-endian and row-major, of at most 2^31 values. Throws
// DataError on another array, and on a file that is cut short or holds more.
NpyArray ReadNpy(const std::filesystem::path& file);

}  // namespace flame

#endif  // FLAME_BASE_FILES_NPY_H_
