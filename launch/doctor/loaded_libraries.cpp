#include "launch/doctor/loaded_libraries.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/files/checksum.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr std::streamoff kEnds = 1 << 20;  // bytes read at each end of a file

struct Library {
  fs::path path;
  std::string build_id;  // empty: the library has no build id
};

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// Returns the build id in a segment of ELF notes, or "". A note is a header, a name and a
// description, each padded to a multiple of 4 bytes.
std::string BuildIdIn(std::string_view notes) {
  const auto padded = [](size_t size) { return (size + 3) / 4 * 4; };
  ElfW(Nhdr) header;
  while (notes.size() >= sizeof header) {
    std::memcpy(&header, notes.data(), sizeof header);
    notes.remove_prefix(sizeof header);
    const size_t description = padded(header.n_namesz), end = description + header.n_descsz;
    if (end > notes.size()) break;
    if (header.n_type == NT_GNU_BUILD_ID && notes.starts_with(std::string_view("GNU\0", 4))) {
      return Hex(notes.substr(description, header.n_descsz));
    }
    notes.remove_prefix(std::min(notes.size(), padded(end)));
  }
  return "";
}

int Collect(dl_phdr_info* object, size_t, void* into) {
  const std::string_view name = object->dlpi_name;
  // Skips the program itself, which has no name here, and the kernel's object, which has no path.
  if (name.find('/') == std::string_view::npos) return 0;
  Library library{name, ""};
  for (int i = 0; i < object->dlpi_phnum && library.build_id.empty(); ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* start = reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr);
    library.build_id = BuildIdIn({start, segment.p_memsz});
  }
  static_cast<std::vector<Library>*>(into)->push_back(std::move(library));
  return 0;
}

std::vector<Library> AllLibraries() {
  std::vector<Library> libraries;
  dl_iterate_phdr(Collect, &libraries);
  return libraries;
}

// Returns the file's size and the digest of its first and last MiB. The size alone tells most
// builds apart. If the file was replaced after it was loaded, both describe the new file.
std::string DigestOfEnds(const fs::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  if (size < 0) return "unreadable";
  Xxh3Stream digest;
  for (const std::streamoff start :
       {std::streamoff{0}, std::max<std::streamoff>(0, size - kEnds)}) {
    std::string bytes(static_cast<size_t>(std::min(size - start, kEnds)), '\0');
    file.seekg(start);
    if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) return "unreadable";
    digest.Update(bytes.data(), bytes.size());
  }
  return StrCat(size, "-", digest.Finish());
}

}  // namespace

std::map<std::string, std::string> LoadedLibraries() {
  std::map<std::string, std::string> builds;
  for (const Library& library : AllLibraries()) {
    builds[library.path.filename().string()] =
        library.build_id.empty() ? DigestOfEnds(library.path) : library.build_id;
  }
  return builds;
}

std::vector<std::string> LoadedFiles(const std::string& name) {
  std::set<std::string> files;
  for (const Library& library : AllLibraries()) {
    if (library.path.filename().string().starts_with(name)) files.insert(library.path.string());
  }
  return {files.begin(), files.end()};
}

}  // namespace flame
