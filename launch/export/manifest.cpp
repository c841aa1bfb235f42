#include "launch/export/manifest.h"

#include <map>
#include <string>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kName[] = "manifest.json";
constexpr char kSchema[] = "flame-export 1";

// The files of a folder, except the manifest, by their paths in it.
std::map<std::string, fs::path> FilesOf(const fs::path& folder) {
  std::map<std::string, fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && name != kName) files[name] = entry.path();
  }
  return files;
}

json ReadManifest(const fs::path& file) {
  if (!fs::is_regular_file(file)) {
    throw DataError(file.string(), ": no such file; expected the manifest of an export");
  }
  json manifest = json::parse(ReadWholeFile(file), nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || manifest.value("schema", json()) != kSchema) {
    throw DataError(file.string(), ": not a manifest of schema ", kSchema);
  }
  return manifest;
}

}  // namespace

void WriteManifest(const fs::path& folder, const json& origin) {
  nlohmann::ordered_json manifest = {{"schema", kSchema}};
  manifest.update(origin);
  manifest["files"] = json::array();
  for (const auto& [name, path] : FilesOf(folder)) {
    manifest["files"].push_back(
        {{"name", name}, {"bytes", fs::file_size(path)}, {"sha256", Sha256OfFile(path)}});
  }
  WriteFileAtomically(folder / kName, manifest.dump(1) + "\n");
}

int64_t VerifyManifest(const fs::path& folder) {
  const json manifest = ReadManifest(folder / kName);
  std::map<std::string, fs::path> files = FilesOf(folder);
  std::string faults;
  int64_t count = 0;
  try {
    for (const json& entry : manifest.at("files")) {
      const std::string name = entry.at("name");
      ++count;
      if (!files.contains(name)) {
        faults += StrCat("\n  ", name, ": missing");
      } else if (fs::file_size(files[name]) != entry.at("bytes").get<uint64_t>()) {
        faults += StrCat("\n  ", name, ": ", fs::file_size(files[name]), " bytes; expected ",
                         entry.at("bytes"));
      } else if (Sha256OfFile(files[name]) != entry.at("sha256").get<std::string>()) {
        faults += StrCat("\n  ", name, ": its SHA-256 is another one");
      }
      files.erase(name);
    }
  } catch (const json::exception& error) {
    throw DataError((folder / kName).string(), ": ", error.what());
  }
  for (const auto& [name, path] : files) faults += StrCat("\n  ", name, ": not in the manifest");
  if (!faults.empty()) throw DataError(folder.string(), ": not the export that was made:", faults);
  return count;
}

}  // namespace flame
