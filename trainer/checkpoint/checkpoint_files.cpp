#include "trainer/checkpoint/checkpoint_files.h"

#include <cstdio>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "base/files/safetensors.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kSchema = 3;
constexpr char kStepPrefix[] = "step-";
constexpr std::pair<at::ScalarType, const char*> kDtypes[] = {
    {at::kDouble, "F64"}, {at::kFloat, "F32"}, {at::kBFloat16, "BF16"}, {at::kLong, "I64"}};

int64_t NumElements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::string RankFileName(int rank) {
  char name[40];
  std::snprintf(name, sizeof(name), "rank-%04d.safetensors", rank);
  return name;
}

}  // namespace

std::string StepFolderName(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof(name), "%s%06lld", kStepPrefix, static_cast<long long>(step));
  return name;
}

bool IsStepFolder(const std::string& name) {
  const std::string prefix = kStepPrefix;
  return name.starts_with(prefix) && name.size() > prefix.size() &&
         name.find_first_not_of("0123456789", prefix.size()) == std::string::npos;
}

std::string CheckpointDtype(at::ScalarType dtype) {
  for (const auto& [known, name] : kDtypes) {
    if (known == dtype) return name;
  }
  throw UsageError("checkpoint: tensors of ", c10::toString(dtype), " are not stored");
}

Json WriteSlices(const fs::path& folder, int rank, const std::vector<CheckpointSlice>& slices) {
  std::map<std::string, TensorView> views;
  Json tensors = Json::object();
  for (const CheckpointSlice& slice : slices) {
    const int64_t count = slice.data.numel();
    const std::string dtype = CheckpointDtype(slice.data.scalar_type());
    const bool whole = count == NumElements(slice.shape);
    views[slice.name] = {dtype, whole ? slice.shape : std::vector<int64_t>{count},
                         slice.data.const_data_ptr(), slice.data.nbytes()};
    tensors[slice.name] = {
        {"dtype", dtype}, {"shape", slice.shape}, {"offset", slice.offset}, {"count", count}};
  }
  const fs::path path = folder / RankFileName(rank);
  WriteSafetensors(path, views);
  return {{"name", path.filename().string()}, {"sha256", Sha256OfFile(path)}, {"tensors", tensors}};
}

Json ManifestOf(const CheckpointInfo& info, const std::vector<Json>& files) {
  Json manifest = {
      {"schema", kSchema},         {"step", info.step},   {"config_sha256", info.config_sha256},
      {"settings", info.settings}, {"ranks", info.ranks}, {"value", info.value},
      {"numbers", info.numbers},   {"files", files}};
  manifest["sha256"] = Sha256(manifest.dump());
  return manifest;
}

CheckpointInfo InfoOf(const Json& manifest) {
  return {manifest.at("step"),  manifest.at("config_sha256"), manifest.at("settings"),
          manifest.at("ranks"), manifest.at("value"),         manifest.at("numbers")};
}

Json ReadManifest(const fs::path& path) {
  Json manifest = Json::parse(ReadWholeFile(path), nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || manifest.value("schema", 0) != kSchema) {
    throw DataError(path.string(), ": expected a manifest of schema ", kSchema);
  }
  // LATEST holds the checksum of the newest manifest only; the others carry their own.
  Json rest = manifest;
  rest.erase("sha256");
  const std::string found = Sha256(rest.dump());
  if (manifest.value("sha256", "") != found) {
    throw DataError(path.string(), ": damaged: expected SHA-256 ", manifest.value("sha256", "none"),
                    " of the rest, found ", found);
  }
  if (StepFolderName(rest.at("step")) != path.parent_path().filename()) {
    throw DataError(path.string(), ": is the manifest of step ", rest.at("step").dump());
  }
  return manifest;
}

void VerifyFile(const fs::path& path, const std::string& sha256) {
  if (!fs::exists(path)) {
    throw DataError(path.string(), ": missing; the checkpoint needs this file (SHA-256 ", sha256,
                    ")");
  }
  const std::string found = Sha256OfFile(path);
  if (found != sha256) {
    throw DataError(path.string(), ": damaged: expected SHA-256 ", sha256, ", found ", found);
  }
}

OpenedCheckpoint OpenLatest(const fs::path& latest) {
  std::istringstream text(ReadWholeFile(latest));
  std::string step_name, sha256, rest;
  if (!(text >> step_name >> sha256) || (text >> rest) || !IsStepFolder(step_name)) {
    throw DataError(latest.string(), ": expected 'step-NNNNNN SHA-256', found '", text.str(), "'");
  }
  OpenedCheckpoint opened{latest.parent_path() / step_name, {}};
  const fs::path path = opened.folder / kManifestName;
  VerifyFile(path, sha256);
  opened.manifest = ReadManifest(path);
  return opened;
}

}  // namespace flame
