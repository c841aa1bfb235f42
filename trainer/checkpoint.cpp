#include "trainer/checkpoint.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/safetensors.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kSchema = 1;
constexpr size_t kKept = 2;
constexpr char kManifest[] = "manifest.json";
constexpr char kStepPrefix[] = "step-";
constexpr std::pair<at::ScalarType, const char*> kDtypes[] = {
    {at::kDouble, "F64"}, {at::kFloat, "F32"}, {at::kBFloat16, "BF16"}, {at::kLong, "I64"}};

std::string DtypeName(at::ScalarType dtype) {
  for (const auto& [known, name] : kDtypes) {
    if (known == dtype) return name;
  }
  throw UsageError("checkpoint: tensors of ", c10::toString(dtype), " are not stored");
}

std::string StepName(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof(name), "%s%06lld", kStepPrefix, static_cast<long long>(step));
  return name;
}

std::string ShapeText(const std::vector<int64_t>& shape) { return Json(shape).dump(); }

// Writes the tensors to `path`; returns the file's entry of the manifest.
Json WriteTensors(const fs::path& path, const NamedTensors& tensors) {
  NamedTensors dense;
  std::map<std::string, TensorView> views;
  Json shapes = Json::object();
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& kept = dense[name] = tensor.detach().cpu().contiguous();
    views[name] = {DtypeName(kept.scalar_type()), kept.sizes().vec(), kept.const_data_ptr(),
                   kept.nbytes()};
    shapes[name] = {{"shape", kept.sizes().vec()}, {"offset", 0}};
  }
  WriteSafetensors(path, views);
  return {{"name", path.filename().string()}, {"sha256", Sha256OfFile(path)}, {"tensors", shapes}};
}

void RemoveOldSteps(const fs::path& folder, const std::string& newest) {
  std::vector<fs::path> steps;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kStepPrefix) && name <= newest) steps.push_back(entry.path());
  }
  std::sort(steps.rbegin(), steps.rend());
  for (size_t i = kKept; i < steps.size(); ++i) fs::remove_all(steps[i]);
}

// Throws unless the file is there with the bytes that were written.
void Verify(const fs::path& path, const std::string& sha256) {
  if (!fs::exists(path)) {
    throw DataError(path.string(), ": missing; the checkpoint needs this file (SHA-256 ", sha256,
                    ")");
  }
  const std::string found = Sha256OfFile(path);
  if (found != sha256) {
    throw DataError(path.string(), ": damaged: expected SHA-256 ", sha256, ", found ", found);
  }
}

struct Opened {
  fs::path step_folder;
  Json manifest;
};

// Follows LATEST to a manifest whose bytes are those that were written.
Opened OpenLatest(const fs::path& latest) {
  std::istringstream text(ReadWholeFile(latest));
  std::string step_name, sha256, rest;
  if (!(text >> step_name >> sha256) || (text >> rest) || !step_name.starts_with(kStepPrefix)) {
    throw DataError(latest.string(), ": expected 'step-NNNNNN SHA-256', found '", text.str(), "'");
  }
  Opened opened{latest.parent_path() / step_name, {}};
  const fs::path path = opened.step_folder / kManifest;
  Verify(path, sha256);
  opened.manifest = Json::parse(ReadWholeFile(path), nullptr, /*allow_exceptions=*/false);
  if (!opened.manifest.is_object() || opened.manifest.value("schema", 0) != kSchema) {
    throw DataError(path.string(), ": expected a manifest of schema ", kSchema);
  }
  return opened;
}

CheckpointInfo InfoOf(const Json& manifest) {
  return {manifest.at("step"), manifest.at("config_sha256"), manifest.at("ranks"),
          manifest.at("numbers")};
}

// Faults of a stored tensor against the one it is to fill; "" if it fits.
std::string Mismatch(const TensorView& stored, const at::Tensor& wanted) {
  const std::string dtype = DtypeName(wanted.scalar_type());
  const std::vector<int64_t> shape = wanted.sizes().vec();
  if (stored.dtype == dtype && stored.shape == shape) return "";
  return StrCat("expected ", dtype, " ", ShapeText(shape), ", found ", stored.dtype, " ",
                ShapeText(stored.shape));
}

using Files = std::vector<std::unique_ptr<SafetensorsFile>>;

// Opens and verifies every file of the manifest; maps each wanted name to its stored tensor.
std::map<std::string, TensorView> FindTensors(const Opened& opened, const NamedTensors& wanted,
                                              Files* files) {
  std::map<std::string, TensorView> found;
  for (const Json& entry : opened.manifest.at("files")) {
    const fs::path path = opened.step_folder / entry.at("name").get<std::string>();
    Verify(path, entry.at("sha256"));
    files->push_back(std::make_unique<SafetensorsFile>(path));
    for (const auto& [name, view] : files->back()->tensors()) {
      if (!wanted.contains(name)) {
        throw DataError(path.string(), ": tensor '", name, "' is not part of this training");
      }
      const std::string fault = Mismatch(view, wanted.at(name));
      if (!fault.empty()) throw DataError(path.string(), ": tensor '", name, "': ", fault);
      found[name] = view;
    }
  }
  for (const auto& [name, tensor] : wanted) {
    if (!found.contains(name)) {
      throw DataError(opened.step_folder.string(), ": no file holds tensor '", name, "'");
    }
  }
  return found;
}

}  // namespace

void SaveCheckpoint(const fs::path& folder, const CheckpointInfo& info,
                    const NamedTensors& tensors) {
  const fs::path checkpoints = folder / "checkpoints";
  const std::string step_name = StepName(info.step);
  AtomicPath step_folder(checkpoints / step_name, AtomicPath::Kind::kFolder);
  Json manifest = {{"schema", kSchema},
                   {"step", info.step},
                   {"config_sha256", info.config_sha256},
                   {"ranks", info.ranks},
                   {"numbers", info.numbers}};
  manifest["files"] =
      Json::array({WriteTensors(step_folder.temporary() / "rank-0000.safetensors", tensors)});
  const std::string text = manifest.dump(1) + "\n";
  WriteFileAtomically(step_folder.temporary() / kManifest, text);
  step_folder.Commit();
  WriteFileAtomically(checkpoints / "LATEST", StrCat(step_name, " ", Sha256(text), "\n"));
  RemoveOldSteps(checkpoints, step_name);
}

std::optional<CheckpointInfo> LoadLatestCheckpoint(const fs::path& folder,
                                                   const std::string& config_sha256,
                                                   const NamedTensors& tensors) {
  const fs::path latest = folder / "checkpoints" / "LATEST";
  if (!fs::exists(latest)) return std::nullopt;
  const Opened opened = OpenLatest(latest);
  CheckpointInfo info = InfoOf(opened.manifest);
  if (info.config_sha256 != config_sha256) {
    throw DataError(opened.step_folder.string(), ": made from config ", info.config_sha256,
                    "; this run's config is ", config_sha256,
                    ". Use another run.dir, or remove this stage's folder to train it anew");
  }
  Files files;
  const std::map<std::string, TensorView> found = FindTensors(opened, tensors, &files);
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : tensors) {
    const TensorView& view = found.at(name);
    at::Tensor target = tensor;
    target.copy_(at::from_blob(const_cast<void*>(view.data), view.shape,
                               at::TensorOptions(target.scalar_type())));
  }
  return info;
}

}  // namespace flame
