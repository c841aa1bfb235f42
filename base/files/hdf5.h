// RAII over the HDF5 C API. Every failure throws a DataError (reading) or a MachineError (writing)
// that names file and dataset. No HDF5 error stack reaches stderr.
#ifndef FLAME_BASE_FILES_HDF5_H_
#define FLAME_BASE_FILES_HDF5_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// Element types: int8_t (also bool sets), int16_t, int32_t, int64_t, float, double, std::string
// (variable-length UTF-8). Datasets of numbers are chunked with Fletcher-32 checksums, so reading
// detects a flipped byte. `name` may hold groups: "visits/age".
class Hdf5File {
 public:
  // Throws DataError if absent, truncated or not HDF5.
  static Hdf5File OpenForReading(const std::filesystem::path& path);
  // Creates the file, or truncates an existing one. Callers pass AtomicPath::temporary().
  static Hdf5File Create(const std::filesystem::path& path);
  // Both make a file in memory; `name` stands for the path in messages. OpenBytes reads the bytes
  // of a file and ignores any bytes after it.
  static Hdf5File OpenBytes(std::string_view bytes, const std::string& name);
  static Hdf5File CreateInMemory(const std::string& name);
  ~Hdf5File();
  Hdf5File(Hdf5File&&) noexcept;
  Hdf5File& operator=(Hdf5File&&) noexcept;

  template <class T>
  void Write(const std::string& name, const std::vector<T>& values);
  // Writes a 2-D dataset; `values` is row-major [rows, columns].
  template <class T>
  void WriteMatrix(const std::string& name, const std::vector<T>& values, int64_t rows,
                   int64_t columns);
  // Returns the whole dataset, flattened. Throws DataError if its elements are of another class
  // than T, or integers too wide for T.
  template <class T>
  std::vector<T> Read(const std::string& name) const;
  std::vector<int64_t> Shape(const std::string& name) const;
  bool Has(const std::string& name) const;

  // Attributes of the root group.
  void SetAttribute(const std::string& name, const std::string& value);
  void SetAttribute(const std::string& name, int64_t value);
  std::string StringAttribute(const std::string& name) const;
  int64_t IntAttribute(const std::string& name) const;

  // Returns the bytes that a file made by CreateInMemory would have on a disk.
  std::string Bytes() const;

  // Flushes and closes the file. A full disk is reported here at the latest. The destructor closes
  // without throwing.
  void Close();

 private:
  explicit Hdf5File(int64_t id, std::filesystem::path path);
  int64_t id_ = -1;
  std::filesystem::path path_;
};

}  // namespace flame

#endif  // FLAME_BASE_FILES_HDF5_H_
