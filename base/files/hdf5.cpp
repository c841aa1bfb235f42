#include "base/files/hdf5.h"

#include <hdf5.h>

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

// Returns the innermost message of HDF5's error stack: the cause, with errno if HDF5 has one.
std::string Cause() {
  std::string cause;
  const H5E_walk2_t first = [](unsigned, const H5E_error2_t* entry, void* out) -> herr_t {
    *static_cast<std::string*>(out) = entry->desc;
    return 1;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &cause);
  return cause.empty() ? "HDF5 gives no cause" : cause;
}

// HDF5 keeps an error stack for each thread and prints it unless told not to on that thread.
void SilenceErrorStack() {
  // Its exit handler would close files that a full disk kept open, and crash.
  static const herr_t no_exit_handler = H5dont_atexit();
  static_cast<void>(no_exit_handler);
  thread_local const herr_t done = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  static_cast<void>(done);
}

// An HDF5 identifier, released at the end of its scope.
class Handle {
 public:
  Handle(hid_t id, herr_t (*release)(hid_t)) : id_(id), release_(release) {}
  ~Handle() {
    if (id_ >= 0) release_(id_);
  }
  // Releases the identifier now. Closing a dataset writes what HDF5 still buffers of it, so this
  // throws MachineError if the disk is full.
  void Close(const std::string& place) {
    if (release_(std::exchange(id_, -1)) < 0) {
      throw MachineError(place, ": cannot write: ", Cause());
    }
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), release_(other.release_) {}
  Handle& operator=(Handle&&) = delete;
  hid_t id() const { return id_; }
  // Throws Failure("PLACE: cannot ACTION: cause") if the identifier is bad.
  template <class Failure>
  const Handle& OrThrow(const std::string& place, const char* action) const {
    if (id_ < 0) throw Failure(place, ": cannot ", action, ": ", Cause());
    return *this;
  }

 private:
  hid_t id_;
  herr_t (*release_)(hid_t);
};

std::string Place(const std::filesystem::path& path, const std::string& name) {
  return path.string() + ": dataset '" + name + "'";
}

Handle StringType() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), H5T_VARIABLE);
  H5Tset_cset(type.id(), H5T_CSET_UTF8);
  return type;
}

template <class T>
hid_t NumberType() {
  if constexpr (std::is_same_v<T, int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, int16_t>) return H5T_NATIVE_INT16;
  if constexpr (std::is_same_v<T, int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
}

// Sets chunks of about 1 MiB with checksums. Checksums need chunks, and an empty dataset cannot
// have chunks.
void SetChunks(hid_t properties, const std::vector<hsize_t>& shape, size_t element_size) {
  constexpr hsize_t kChunkBytes = 1 << 20;
  std::vector<hsize_t> chunk = shape;
  hsize_t left = kChunkBytes / element_size;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] == 0) return;
    chunk[i] = std::clamp<hsize_t>(left, 1, shape[i]);
    left /= chunk[i];
  }
  H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
  H5Pset_fletcher32(properties);
}

// Writes `data` of type `type` as a new dataset. It gets checksums unless its elements are strings,
// whose text HDF5 keeps outside the dataset.
void WriteDataset(hid_t file, const std::string& place, const std::string& name,
                  const std::vector<hsize_t>& shape, hid_t type, const void* data) {
  const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.id(), 1);
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  // Files of the same contents are the same bytes, whenever they were written.
  H5Pset_obj_track_times(properties.id(), false);
  if (H5Tget_class(type) != H5T_STRING) SetChunks(properties.id(), shape, H5Tget_size(type));
  const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                     H5Sclose);
  Handle set(
      H5Dcreate2(file, name.c_str(), type, space.id(), links.id(), properties.id(), H5P_DEFAULT),
      H5Dclose);
  set.OrThrow<MachineError>(place, "create");
  if (H5Dwrite(set.id(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    throw MachineError(place, ": cannot write: ", Cause());
  }
  set.Close(place);
}

template <class T>
void WriteShaped(hid_t file, const std::string& place, const std::string& name,
                 const std::vector<T>& values, const std::vector<hsize_t>& shape) {
  SilenceErrorStack();
  if constexpr (std::is_same_v<T, std::string>) {
    std::vector<const char*> pointers;
    pointers.reserve(values.size());
    for (const std::string& value : values) {
      if (value.find('\0') != std::string::npos) {
        throw DataError(place, ": text ", pointers.size(), " holds a zero byte");
      }
      pointers.push_back(value.c_str());
    }
    WriteDataset(file, place, name, shape, StringType().id(), pointers.data());
  } else {
    WriteDataset(file, place, name, shape, NumberType<T>(), values.data());
  }
}

Handle OpenDataset(hid_t file, const std::string& place, const std::string& name) {
  SilenceErrorStack();
  Handle set(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  set.OrThrow<DataError>(place, "open");
  return set;
}

const char* ClassName(H5T_class_t type_class) {
  switch (type_class) {
    case H5T_INTEGER:
      return "integer";
    case H5T_FLOAT:
      return "floating-point";
    case H5T_STRING:
      return "text";
    default:
      return "other";
  }
}

// Throws DataError unless T can take the stored type. Floating-point numbers may be narrowed,
// integers may not.
template <class T>
void CheckType(const std::string& place, hid_t stored) {
  constexpr H5T_class_t kWanted = std::is_same_v<T, std::string> ? H5T_STRING
                                  : std::is_integral_v<T>        ? H5T_INTEGER
                                                                 : H5T_FLOAT;
  const H5T_class_t found = H5Tget_class(stored);
  if (found != kWanted) {
    throw DataError(place, ": expected ", ClassName(kWanted), " elements, found ",
                    ClassName(found));
  }
  if constexpr (std::is_integral_v<T>) {
    const bool fits = H5Tget_size(stored) < sizeof(T) ||
                      (H5Tget_size(stored) == sizeof(T) && H5Tget_sign(stored) == H5T_SGN_2);
    if (!fits) {
      throw DataError(place, ": expected integers that fit ", 8 * sizeof(T),
                      " bits with sign, found ", 8 * H5Tget_size(stored), "-bit",
                      H5Tget_sign(stored) == H5T_SGN_2 ? "" : " unsigned", " elements");
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (H5Tis_variable_str(stored) <= 0) {
      throw DataError(place, ": expected variable-length text, found fixed-length text");
    }
  }
}

template <class T>
std::vector<T> ReadElements(hid_t set, hid_t stored, hid_t space, const std::string& place) {
  std::vector<T> values(static_cast<size_t>(H5Sget_simple_extent_npoints(space)));
  if (values.empty()) return values;
  if (H5Dread(set, NumberType<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0) {
    throw DataError(place, ": cannot read: ", Cause());
  }
  return values;
}

template <>
std::vector<std::string> ReadElements(hid_t set, hid_t stored, hid_t space,
                                      const std::string& place) {
  std::vector<char*> pointers(static_cast<size_t>(H5Sget_simple_extent_npoints(space)), nullptr);
  if (pointers.empty()) return {};
  if (H5Dread(set, stored, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) < 0) {
    const std::string cause = Cause();
    H5Dvlen_reclaim(stored, space, H5P_DEFAULT, pointers.data());
    throw DataError(place, ": cannot read: ", cause);
  }
  std::vector<std::string> values;
  values.reserve(pointers.size());
  for (const char* pointer : pointers) values.emplace_back(pointer ? pointer : "");
  H5Dvlen_reclaim(stored, space, H5P_DEFAULT, pointers.data());
  return values;
}

std::string AttributePlace(const std::filesystem::path& path, const std::string& name) {
  return path.string() + ": attribute '" + name + "'";
}

void WriteAttribute(hid_t file, const std::string& place, const std::string& name, hid_t type,
                    const void* value) {
  SilenceErrorStack();
  if (H5Aexists(file, name.c_str()) > 0) H5Adelete(file, name.c_str());
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(H5Acreate2(file, name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose);
  attribute.OrThrow<MachineError>(place, "create");
  if (H5Awrite(attribute.id(), type, value) < 0) {
    throw MachineError(place, ": cannot write: ", Cause());
  }
}

// Returns a unique name: HDF5 takes two open files of one name for the same file, and refuses the
// name of a file on the disk for a file in memory.
std::string MemoryName(const std::string& name) {
  static std::atomic<int64_t> count{0};
  return StrCat("memory:", count++, ":", name);
}

// Returns the access properties of a file in memory that is never written to disk.
Handle MemoryAccess() {
  constexpr size_t kGrowBytes = 8 << 20;
  Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access.id(), kGrowBytes, /*backing_store=*/0);
  return access;
}

// Reads one element of class `wanted` into `value`.
void ReadAttribute(hid_t file, const std::string& place, const std::string& name,
                   H5T_class_t wanted, hid_t memory_type, void* value) {
  SilenceErrorStack();
  const Handle attribute(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose);
  attribute.OrThrow<DataError>(place, "open");
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Handle space(H5Aget_space(attribute.id()), H5Sclose);
  const bool fixed_text = wanted == H5T_STRING && H5Tis_variable_str(type.id()) <= 0;
  if (H5Tget_class(type.id()) != wanted || fixed_text ||
      H5Sget_simple_extent_npoints(space.id()) != 1) {
    throw DataError(place, ": expected one ", ClassName(wanted), " value");
  }
  const hid_t asked = wanted == H5T_STRING ? type.id() : memory_type;
  if (H5Aread(attribute.id(), asked, value) < 0) {
    throw DataError(place, ": cannot read: ", Cause());
  }
}

}  // namespace

Hdf5File::Hdf5File(int64_t id, std::filesystem::path path) : id_(id), path_(std::move(path)) {}

Hdf5File Hdf5File::OpenForReading(const std::filesystem::path& path) {
  SilenceErrorStack();
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (id < 0) throw DataError(path.string(), ": cannot open as HDF5: ", Cause());
  return Hdf5File(id, path);
}

Hdf5File Hdf5File::Create(const std::filesystem::path& path) {
  SilenceErrorStack();
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  if (id < 0) throw MachineError(path.string(), ": cannot create: ", Cause());
  return Hdf5File(id, path);
}

Hdf5File Hdf5File::OpenBytes(std::string_view bytes, const std::string& name) {
  SilenceErrorStack();
  const Handle access = MemoryAccess();
  // The cast is safe: HDF5 copies the bytes and does not change them.
  H5Pset_file_image(access.id(), const_cast<char*>(bytes.data()), bytes.size());
  const hid_t id = H5Fopen(MemoryName(name).c_str(), H5F_ACC_RDONLY, access.id());
  if (id < 0) throw DataError(name, ": cannot open as HDF5: ", Cause());
  return Hdf5File(id, name);
}

Hdf5File Hdf5File::CreateInMemory(const std::string& name) {
  SilenceErrorStack();
  const Handle access = MemoryAccess();
  const hid_t id = H5Fcreate(MemoryName(name).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id());
  if (id < 0) throw MachineError(name, ": cannot create in memory: ", Cause());
  return Hdf5File(id, name);
}

std::string Hdf5File::Bytes() const {
  SilenceErrorStack();
  ssize_t size = H5Fflush(id_, H5F_SCOPE_LOCAL) < 0 ? -1 : H5Fget_file_image(id_, nullptr, 0);
  std::string bytes(static_cast<size_t>(std::max<ssize_t>(size, 0)), '\0');
  if (size >= 0) size = H5Fget_file_image(id_, bytes.data(), bytes.size());
  if (size < 0) throw MachineError(path_.string(), ": cannot copy from memory: ", Cause());
  return bytes;
}

Hdf5File::~Hdf5File() {
  SilenceErrorStack();
  if (id_ >= 0) H5Fclose(id_);
}

Hdf5File::Hdf5File(Hdf5File&& other) noexcept
    : id_(std::exchange(other.id_, -1)), path_(std::move(other.path_)) {}

Hdf5File& Hdf5File::operator=(Hdf5File&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(path_, other.path_);
  return *this;
}

template <class T>
void Hdf5File::Write(const std::string& name, const std::vector<T>& values) {
  WriteShaped(id_, Place(path_, name), name, values, {values.size()});
}

template <class T>
void Hdf5File::WriteMatrix(const std::string& name, const std::vector<T>& values, int64_t rows,
                           int64_t columns) {
  if (rows < 0 || columns < 0 || static_cast<size_t>(rows * columns) != values.size()) {
    throw DataError(Place(path_, name), ": ", values.size(), " values do not fill ", rows, " x ",
                    columns);
  }
  WriteShaped(id_, Place(path_, name), name, values,
              {static_cast<hsize_t>(rows), static_cast<hsize_t>(columns)});
}

template <class T>
std::vector<T> Hdf5File::Read(const std::string& name) const {
  const std::string place = Place(path_, name);
  const Handle set = OpenDataset(id_, place, name);
  const Handle stored(H5Dget_type(set.id()), H5Tclose);
  CheckType<T>(place, stored.OrThrow<DataError>(place, "read the type").id());
  const Handle space(H5Dget_space(set.id()), H5Sclose);
  space.OrThrow<DataError>(place, "read the shape");
  return ReadElements<T>(set.id(), stored.id(), space.id(), place);
}

std::vector<int64_t> Hdf5File::Shape(const std::string& name) const {
  const std::string place = Place(path_, name);
  const Handle set = OpenDataset(id_, place, name);
  const Handle space(H5Dget_space(set.id()), H5Sclose);
  space.OrThrow<DataError>(place, "read the shape");
  std::vector<hsize_t> shape(static_cast<size_t>(H5Sget_simple_extent_ndims(space.id())));
  H5Sget_simple_extent_dims(space.id(), shape.data(), nullptr);
  return {shape.begin(), shape.end()};
}

bool Hdf5File::Has(const std::string& name) const {
  SilenceErrorStack();
  // H5Lexists fails unless every group on the way exists.
  for (size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    if (slash > 0 && H5Lexists(id_, name.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
  }
  return H5Lexists(id_, name.c_str(), H5P_DEFAULT) > 0;
}

void Hdf5File::SetAttribute(const std::string& name, const std::string& value) {
  const char* text = value.c_str();
  WriteAttribute(id_, AttributePlace(path_, name), name, StringType().id(), &text);
}

void Hdf5File::SetAttribute(const std::string& name, int64_t value) {
  WriteAttribute(id_, AttributePlace(path_, name), name, H5T_NATIVE_INT64, &value);
}

std::string Hdf5File::StringAttribute(const std::string& name) const {
  char* text = nullptr;
  ReadAttribute(id_, AttributePlace(path_, name), name, H5T_STRING, H5I_INVALID_HID, &text);
  const std::string value = text ? text : "";
  H5free_memory(text);
  return value;
}

int64_t Hdf5File::IntAttribute(const std::string& name) const {
  int64_t value = 0;
  ReadAttribute(id_, AttributePlace(path_, name), name, H5T_INTEGER, H5T_NATIVE_INT64, &value);
  return value;
}

void Hdf5File::Close() {
  SilenceErrorStack();
  if (id_ < 0) return;
  const bool flushed = H5Fflush(id_, H5F_SCOPE_LOCAL) >= 0;
  const std::string cause = flushed ? "" : Cause();
  const bool closed = H5Fclose(std::exchange(id_, -1)) >= 0;
  if (!flushed || !closed) {
    throw MachineError(path_.string(), ": cannot write: ", flushed ? Cause() : cause);
  }
}

#define FLAME_HDF5_ELEMENT(T)                                                                \
  template void Hdf5File::Write<T>(const std::string&, const std::vector<T>&);               \
  template void Hdf5File::WriteMatrix<T>(const std::string&, const std::vector<T>&, int64_t, \
                                         int64_t);                                           \
  template std::vector<T> Hdf5File::Read<T>(const std::string&) const;
FLAME_HDF5_ELEMENT(int8_t)
FLAME_HDF5_ELEMENT(int16_t)
FLAME_HDF5_ELEMENT(int32_t)
FLAME_HDF5_ELEMENT(int64_t)
FLAME_HDF5_ELEMENT(float)
FLAME_HDF5_ELEMENT(double)
FLAME_HDF5_ELEMENT(std::string)
#undef FLAME_HDF5_ELEMENT

}  // namespace flame
