// RAII over the HDF5 C API. Every failure is a DataError (reading) or MachineError (writing) that
// names file and dataset. No HDF5 error stack reaches stderr.
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
// (variable-length UTF-8). Datasets of numbers are chunked with Fletcher-32 checksums, so a flipped
// byte is found at reading. `name` may hold groups: "visits/age".
class Hdf5File {
 public:
  // Throws DataError if absent, truncated or not HDF5.
  static Hdf5File OpenForReading(const std::filesystem::path& path);
  // Creates, truncating. Callers write to AtomicPath::temporary().
  static Hdf5File Create(const std::filesystem::path& path);
  // Files that are never on a disk; `name` stands for the path in messages. Opening takes the bytes
  // of a file, which may be followed by others.
  static Hdf5File OpenBytes(std::string_view bytes, const std::string& name);
  static Hdf5File CreateInMemory(const std::string& name);
  ~Hdf5File();
  Hdf5File(Hdf5File&&) noexcept;
  Hdf5File& operator=(Hdf5File&&) noexcept;

  template <class T>
  void Write(const std::string& name, const std::vector<T>& values);
  // 2-D, row-major [rows, columns].
  template <class T>
  void WriteMatrix(const std::string& name, const std::vector<T>& values, int64_t rows,
                   int64_t columns);
  // Whole dataset, flattened; DataError on another element class or rank than asked.
  template <class T>
  std::vector<T> Read(const std::string& name) const;
  std::vector<int64_t> Shape(const std::string& name) const;
  bool Has(const std::string& name) const;

  // Attributes of the root group.
  void SetAttribute(const std::string& name, const std::string& value);
  void SetAttribute(const std::string& name, int64_t value);
  std::string StringAttribute(const std::string& name) const;
  int64_t IntAttribute(const std::string& name) const;

  // The file as it would lie on a disk; for those of CreateInMemory.
  std::string Bytes() const;

  // Flushes and closes; errors of a full disk surface here at the latest. The destructor closes
  // without throwing.
  void Close();

 private:
  explicit Hdf5File(int64_t id, std::filesystem::path path);
  int64_t id_ = -1;
  std::filesystem::path path_;
};

}  // namespace flame

#endif  // FLAME_BASE_FILES_HDF5_H_
