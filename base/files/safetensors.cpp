#include "base/files/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/lfs_pointer.h"

namespace flame {
namespace {

using Json = nlohmann::json;

// The reference implementation's limit; a longer header is a corrupt length.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// Returns the bytes of an element, 0 for an unknown type.
uint64_t ElementSize(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL") return 1;
  return 0;
}

// Returns the bytes of a tensor. Throws DataError("PLACE: ...") if the dtype is unknown, a size is
// negative or the product overflows.
uint64_t NumBytes(const std::string& place, const std::string& dtype,
                  const std::vector<int64_t>& shape) {
  uint64_t bytes = ElementSize(dtype);
  if (bytes == 0) throw DataError(place, ": unknown dtype '", dtype, "'");
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) {
      throw DataError(place, ": shape is negative or too large");
    }
  }
  return bytes;
}

Json ParseHeader(const std::string& path, std::string_view text) {
  std::set<std::string> seen;
  const auto refuse_duplicates = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key &&
        !seen.insert(parsed.get<std::string>()).second) {
      throw DataError(path, ": tensor '", parsed.get<std::string>(), "' appears twice");
    }
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, refuse_duplicates);
  } catch (const Json::exception& error) {
    throw DataError(path, ": the safetensors header is not JSON: ", error.what());
  }
  if (!header.is_object()) throw DataError(path, ": the safetensors header is not an object");
  return header;
}

struct Entry {
  TensorView view;
  uint64_t begin, end;  // in the data section
};

Entry ParseEntry(const std::string& place, const Json& fields) {
  Entry entry = {};
  try {
    entry.view.dtype = fields.at("dtype").get<std::string>();
    for (const Json& size : fields.at("shape")) {
      if (!size.is_number_unsigned()) throw DataError(place, ": shape holds ", size.dump());
      entry.view.shape.push_back(size.get<int64_t>());
    }
    const Json& offsets = fields.at("data_offsets");
    if (offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      throw DataError(place, ": data_offsets is ", offsets.dump(), "; expected [begin, end]");
    }
    entry.begin = offsets[0].get<uint64_t>();
    entry.end = offsets[1].get<uint64_t>();
  } catch (const Json::exception& error) {
    throw DataError(place, ": expected dtype, shape and data_offsets: ", error.what());
  }
  const uint64_t expected = NumBytes(place, entry.view.dtype, entry.view.shape);
  if (entry.end < entry.begin || entry.end - entry.begin != expected) {
    throw DataError(place, ": data_offsets [", entry.begin, ", ", entry.end, ") do not hold the ",
                    expected, " bytes of its shape and dtype");
  }
  entry.view.num_bytes = expected;
  return entry;
}

// Throws DataError unless the tensors cover the whole data section without overlap or hole.
void CheckCover(const std::string& path, const std::map<std::string, Entry>& entries,
                uint64_t data_bytes) {
  std::vector<std::tuple<uint64_t, uint64_t, std::string>> ranges;
  for (const auto& [name, entry] : entries) ranges.emplace_back(entry.begin, entry.end, name);
  std::sort(ranges.begin(), ranges.end());
  uint64_t covered = 0;
  for (const auto& [begin, end, name] : ranges) {
    if (end > data_bytes) {
      throw DataError(path, ": tensor '", name, "' ends at byte ", end, " of ", data_bytes,
                      " bytes of data; the file is truncated or corrupt");
    }
    if (begin != covered) {
      throw DataError(path, ": tensor '", name, "' starts at byte ", begin, "; expected ", covered,
                      begin < covered ? " (it overlaps another)" : " (a hole)");
    }
    covered = end;
  }
  if (covered != data_bytes) {
    throw DataError(path, ": tensors end at byte ", covered, " of ", data_bytes, " bytes of data");
  }
}

// Maps a file for reading and sets `size` to the file's size.
void* Map(const std::string& path, size_t* size) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw DataError(path, ": cannot read: ", std::strerror(errno));
  struct stat status = {};
  const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  *size = static_cast<size_t>(status.st_size);
  const bool long_enough = regular && *size >= 8;
  void* base = long_enough ? mmap(nullptr, *size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  const int cause = errno;
  close(file);
  if (!regular) throw DataError(path, ": is not a regular file");
  if (!long_enough) throw DataError(path, ": ", *size, " bytes are no safetensors file");
  if (base == MAP_FAILED) throw MachineError(path, ": cannot map: ", std::strerror(cause));
  return base;
}

}  // namespace

struct SafetensorsFile::Mapping {
  explicit Mapping(const std::string& path) { base = Map(path, &size); }
  ~Mapping() { munmap(base, size); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  void* base = nullptr;
  size_t size = 0;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file_path)
    : mapping_(std::make_unique<Mapping>(file_path.string())) {
  const std::string path = file_path.string();
  const char* bytes = static_cast<const char*>(mapping_->base);
  RefuseLfsPointer(path, {bytes, mapping_->size});
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes, 8);
  const uint64_t limit = std::min<uint64_t>(kMaxHeaderBytes, mapping_->size - 8);
  if (header_bytes > limit) {
    throw DataError(path, ": the safetensors header claims ", header_bytes, " bytes; at most ",
                    limit, " are possible");
  }
  std::map<std::string, Entry> entries;
  const Json header = ParseHeader(path, {bytes + 8, header_bytes});
  for (const auto& [name, fields] : header.items()) {
    if (name != "__metadata__") {
      entries.emplace(name, ParseEntry(path + ": tensor '" + name + "'", fields));
      continue;
    }
    try {
      metadata_ = fields.get<std::map<std::string, std::string>>();
    } catch (const Json::exception&) {
      throw DataError(path, ": __metadata__ is not a map of text to text");
    }
  }
  CheckCover(path, entries, mapping_->size - 8 - header_bytes);
  for (auto& [name, entry] : entries) {
    entry.view.data = bytes + 8 + header_bytes + entry.begin;
    tensors_.emplace(name, std::move(entry.view));
  }
}

SafetensorsFile::~SafetensorsFile() = default;

void SafetensorsFile::Release(const void* data, size_t num_bytes) const {
  // Pages at both ends are dropped whole: their other bytes can be read again.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(data) + num_bytes;
  // This is only a hint: if it fails, the pages stay.
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

void WriteSafetensors(const std::filesystem::path& path,
                      const std::map<std::string, TensorView>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  WriteSafetensors(path, tensors, metadata,
                   [&](const std::string& name) { return tensors.at(name).data; });
}

void WriteSafetensors(const std::filesystem::path& path,
                      const std::map<std::string, TensorView>& tensors,
                      const std::map<std::string, std::string>& metadata,
                      const TensorSource& data_of) {
  // The format allows no padding between tensors, so wide elements go first to stay aligned.
  std::vector<std::pair<std::string, const TensorView*>> order;
  for (const auto& [name, view] : tensors) order.emplace_back(name, &view);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return ElementSize(a.second->dtype) > ElementSize(b.second->dtype);
  });
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, view] : order) {
    const std::string place = path.string() + ": tensor '" + name + "'";
    const uint64_t bytes = NumBytes(place, view->dtype, view->shape);
    if (bytes != view->num_bytes) {
      throw DataError(place, ": ", view->num_bytes, " bytes given, its shape and dtype take ",
                      bytes);
    }
    header[name] = {
        {"dtype", view->dtype}, {"shape", view->shape}, {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t header_bytes = text.size();

  AtomicPath target(path, AtomicPath::Kind::kFile);
  std::ofstream file(target.temporary(), std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_bytes), 8) << text;
  for (const auto& [name, view] : order) {
    file.write(static_cast<const char*>(data_of(name)),
               static_cast<std::streamsize>(view->num_bytes));
  }
  file.close();
  if (!file) throw MachineError(path.string(), ": cannot write: ", std::strerror(errno));
  target.Commit();
}

}  // namespace flame
