#include "trainer/checkpoint/checkpoint.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "base/files/safetensors.h"
#include "base/log.h"
#include "comm/group.h"
#include "trainer/checkpoint/checkpoint_files.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::vector<std::string> StepFolders(const fs::path& checkpoints) {
  std::vector<std::string> names;
  if (!fs::exists(checkpoints)) return names;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const std::string name = entry.path().filename().string();
    if (IsStepFolder(name)) names.push_back(name);
  }
  std::sort(names.rbegin(), names.rend());
  return names;
}

// Renames the folder before removing it, so that a step is never visible in part, whenever this
// process ends.
void RemoveStep(const fs::path& checkpoints, const std::string& name) {
  const fs::path hidden = checkpoints / ("." + name + ".removed");
  fs::remove_all(hidden);
  fs::rename(checkpoints / name, hidden);
  fs::remove_all(hidden);
}

// Removes steps that earlier processes left half written or half removed. Safe because only one
// process at a time works in a run folder.
void RemoveUnfinishedSteps(const fs::path& checkpoints) {
  if (!fs::exists(checkpoints)) return;
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    if (entry.path().filename().string().starts_with(".step-")) unfinished.push_back(entry.path());
  }
  for (const fs::path& path : unfinished) fs::remove_all(path);
}

// Returns nullopt if the manifest cannot be read: such a step is never among the best.
std::optional<double> ValueOf(const fs::path& step) {
  try {
    return InfoOf(ReadManifest(step / kManifestName)).value;
  } catch (const DataError& error) {
    LogWarning(error.what(), "; the checkpoint is not kept as one of the best");
    return std::nullopt;
  }
}

// Leaves steps beyond `newest`, which another run wrote in this folder: they will be overwritten.
void RemoveOldSteps(const fs::path& checkpoints, const std::string& newest,
                    const CheckpointRetention& retention) {
  std::vector<std::string> names = StepFolders(checkpoints);
  std::erase_if(names, [&](const std::string& name) { return name > newest; });
  std::set<std::string> kept;
  for (const std::string& name : names) {
    if (static_cast<int64_t>(kept.size()) < retention.last) kept.insert(name);
  }
  if (retention.best > 0) {
    std::vector<std::pair<double, std::string>> by_value;
    for (const std::string& name : names) {
      const std::optional<double> value = ValueOf(checkpoints / name);
      if (value) by_value.emplace_back(retention.highest ? -*value : *value, name);
    }
    std::sort(by_value.begin(), by_value.end());
    for (size_t i = 0; i < by_value.size() && static_cast<int64_t>(i) < retention.best; ++i) {
      kept.insert(by_value[i].second);
    }
  }
  for (const std::string& name : names) {
    if (!kept.contains(name)) RemoveStep(checkpoints, name);
  }
}

// Parses a stage's settings, one "key=value" per line.
std::map<std::string, std::string> ValuesOf(const std::string& settings) {
  std::istringstream stream(settings);
  std::map<std::string, std::string> values;
  for (std::string line; std::getline(stream, line);) {
    const size_t end = std::min(line.find('='), line.size());
    values[line.substr(0, end)] = line.substr(std::min(end + 1, line.size()));
  }
  return values;
}

// Lists the keys that differ: "grpo.kl was 0.02, is 0.05; ...".
std::string ChangedKeys(const std::string& before, const std::string& now) {
  const auto then = ValuesOf(before), present = ValuesOf(now);
  std::set<std::string> keys;
  for (const auto* values : {&then, &present}) {
    for (const auto& [key, value] : *values) keys.insert(key);
  }
  const auto value_of = [](const std::map<std::string, std::string>& values,
                           const std::string& key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string("not there") : found->second;
  };
  std::string text;
  for (const std::string& key : keys) {
    const std::string old = value_of(then, key), current = value_of(present, key);
    if (old == current) continue;
    text += StrCat(text.empty() ? "" : "; ", key, " was ", old, ", is ", current);
  }
  return text.empty() ? "files that the stage reads" : text;
}

void CheckSameConfig(const fs::path& folder, const CheckpointInfo& info,
                     const std::string& config_sha256, const std::string& settings) {
  if (info.config_sha256 == config_sha256) return;
  throw DataError(folder.string(),
                  ": made with other settings: ", ChangedKeys(info.settings, settings),
                  ". Set them back, use another run.dir, or remove this stage's folder to train it "
                  "anew");
}

// Returns the result of `body`. If it throws DataError and another checkpoint exists, the message
// also says how to resume from that one.
template <class Body>
auto WithOthersNamed(const fs::path& latest, const Body& body) {
  try {
    return body();
  } catch (const DataError& error) {
    std::string other;
    const std::string name = ReadWholeFile(latest);
    const fs::path folder = latest.parent_path();
    for (const std::string& step : StepFolders(folder)) {
      if (!name.starts_with(step) && fs::exists(folder / step / kManifestName)) {
        other = std::max(other, step);
      }
    }
    if (other.empty()) throw;
    throw DataError(error.what(), ". `flame inspect ", folder.parent_path().string(),
                    "` tells which checkpoints are whole; to go on from ", other, ": cd ",
                    folder.string(), " && echo ", other, " $(sha256sum < ", other, "/",
                    kManifestName, " | cut -c-64) > LATEST");
  }
}

// The part of a logical tensor that one file stores.
struct StoredPiece {
  TensorView view;
  int64_t offset = 0, count = 0;
};
struct StoredTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<StoredPiece> pieces;
};

// The verified and mapped files of a checkpoint, with an index of their tensors.
class StoredTensors {
 public:
  explicit StoredTensors(const OpenedCheckpoint& opened) : folder_(opened.folder) {
    for (const Json& entry : opened.manifest.at("files")) {
      const fs::path path = folder_ / entry.at("name").get<std::string>();
      VerifyFile(path, entry.at("sha256"));
      files_.push_back(std::make_unique<SafetensorsFile>(path));
      for (const auto& [name, piece] : entry.at("tensors").items()) {
        StoredTensor& tensor = tensors_[name];
        tensor.dtype = piece.at("dtype");
        tensor.shape = piece.at("shape").get<std::vector<int64_t>>();
        tensor.pieces.push_back(
            {files_.back()->tensors().at(name), piece.at("offset"), piece.at("count")});
      }
    }
  }

  void Check(const std::vector<CheckpointSlice>& wanted) const {
    std::set<std::string> names;
    for (const CheckpointSlice& slice : wanted) {
      names.insert(slice.name);
      CheckOne(slice);
    }
    for (const auto& [name, tensor] : tensors_) {
      if (names.contains(name)) continue;
      throw DataError(folder_.string(), ": tensor '", name, "' is not part of this training");
    }
  }

  void Fill(const CheckpointSlice& slice) const {
    const int64_t end = slice.offset + slice.data.numel();
    for (const StoredPiece& piece : tensors_.at(slice.name).pieces) {
      const int64_t from = std::max(slice.offset, piece.offset);
      const int64_t count = std::min(end, piece.offset + piece.count) - from;
      if (count <= 0) continue;
      const at::Tensor stored = at::from_blob(const_cast<void*>(piece.view.data), {piece.count},
                                              at::TensorOptions(slice.data.scalar_type()));
      slice.data.narrow(0, from - slice.offset, count)
          .copy_(stored.narrow(0, from - piece.offset, count));
    }
  }

 private:
  void CheckOne(const CheckpointSlice& slice) const {
    const auto found = tensors_.find(slice.name);
    if (found == tensors_.end()) {
      throw DataError(folder_.string(), ": no file holds tensor '", slice.name, "'");
    }
    const StoredTensor& stored = found->second;
    const std::string dtype = CheckpointDtype(slice.data.scalar_type());
    if (stored.dtype != dtype || stored.shape != slice.shape) {
      throw DataError(folder_.string(), ": tensor '", slice.name, "': expected ", dtype, " ",
                      Json(slice.shape).dump(), ", found ", stored.dtype, " ",
                      Json(stored.shape).dump());
    }
    int64_t expected = 1, present = 0;
    for (const int64_t size : slice.shape) expected *= size;
    for (const StoredPiece& piece : stored.pieces) present += piece.count;
    if (present != expected) {
      throw DataError(folder_.string(), ": tensor '", slice.name, "': its slices hold ", present,
                      " of ", expected, " elements");
    }
  }

  fs::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace

struct CheckpointWriter::Pending {
  CheckpointInfo info;
  std::unique_ptr<AtomicPath> folder;  // on learner 0 only
  std::future<Json> file;              // null JSON: this learner has nothing to write
};

CheckpointWriter::CheckpointWriter(fs::path folder, CheckpointRetention retention,
                                   Communicator* learners)
    : checkpoints_(folder / "checkpoints"), retention_(retention), learners_(learners) {
  if (learners_ == nullptr || learners_->rank() == 0) RemoveUnfinishedSteps(checkpoints_);
}

CheckpointWriter::~CheckpointWriter() {
  if (pending_ != nullptr) pending_->file.wait();
}

void CheckpointWriter::Begin(const CheckpointInfo& info,
                             const std::vector<CheckpointSlice>& slices) {
  if (pending()) Publish();
  const int rank = learners_ == nullptr ? 0 : learners_->rank();
  auto pending = std::make_unique<Pending>();
  pending->info = info;
  std::string path;
  if (rank == 0) {
    pending->folder = std::make_unique<AtomicPath>(checkpoints_ / StepFolderName(info.step),
                                                   AtomicPath::Kind::kFolder);
    path = pending->folder->temporary().string();
  }
  path = BroadcastText(learners_, path);
  std::vector<CheckpointSlice> copies;
  for (const CheckpointSlice& slice : slices) {
    if (slice.data.numel() == 0) continue;
    copies.push_back(slice);
    copies.back().data = slice.data.detach().to(at::kCPU, /*non_blocking=*/false, /*copy=*/true);
  }
  pending->file =
      std::async(std::launch::async, [path, rank, copies = std::move(copies)]() -> Json {
        return copies.empty() ? Json() : WriteSlices(path, rank, copies);
      });
  pending_ = std::move(pending);
}

bool CheckpointWriter::written() const {
  return pending_->file.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

void CheckpointWriter::Publish() {
  const std::unique_ptr<Pending> pending = std::move(pending_);
  Json own;
  try {
    own = {{"file", pending->file.get()}};
  } catch (const std::exception& error) {
    own = {{"error", error.what()}};
  }
  std::vector<Json> files;
  std::string fault;
  const std::vector<std::string> texts = GatherTexts(learners_, own.dump());
  for (size_t rank = 0; rank < texts.size(); ++rank) {
    const Json answer = Json::parse(texts[rank]);
    if (answer.contains("error")) {
      fault += StrCat(fault.empty() ? "" : "; ",
                      learners_ == nullptr ? "" : StrCat("learner ", rank, ": "),
                      answer.at("error").get<std::string>());
    } else if (!answer.at("file").is_null()) {
      files.push_back(answer.at("file"));
    }
  }
  if (fault.empty() && pending->folder != nullptr) {
    try {
      for (const Json& file : files) {
        const fs::path path = pending->folder->temporary() / file.at("name").get<std::string>();
        if (!fs::exists(path)) throw MachineError(path.string(), ": was written, and is missing");
      }
      const std::string name = StepFolderName(pending->info.step);
      const std::string text = ManifestOf(pending->info, files).dump(1) + "\n";
      WriteFileAtomically(pending->folder->temporary() / kManifestName, text);
      pending->folder->Commit();
      WriteFileAtomically(checkpoints_ / "LATEST", StrCat(name, " ", Sha256(text), "\n"));
      RemoveOldSteps(checkpoints_, name, retention_);
    } catch (const std::exception& error) {
      fault = error.what();
    }
  }
  // No learner goes on before the checkpoint is published or has failed.
  fault = BroadcastText(learners_, fault);
  if (!fault.empty()) throw MachineError(fault);
}

std::optional<CheckpointInfo> LoadLatestCheckpoint(const fs::path& folder,
                                                   const std::string& config_sha256,
                                                   const std::string& settings,
                                                   const std::vector<CheckpointSlice>& slices) {
  const fs::path latest = folder / "checkpoints" / "LATEST";
  if (!fs::exists(latest)) {
    // The first save was cut short, or the run was copied without LATEST.
    const std::vector<std::string> steps = StepFolders(latest.parent_path());
    if (!steps.empty()) {
      LogWarning(latest.string(), " is missing beside ", steps.front(),
                 ": training starts at step 0, and its checkpoints replace those there");
    }
    return std::nullopt;
  }
  const OpenedCheckpoint opened = WithOthersNamed(latest, [&] { return OpenLatest(latest); });
  CheckpointInfo info = InfoOf(opened.manifest);
  CheckSameConfig(opened.folder, info, config_sha256, settings);
  const StoredTensors stored = WithOthersNamed(latest, [&] { return StoredTensors(opened); });
  stored.Check(slices);
  const c10::NoGradGuard no_grad;
  for (const CheckpointSlice& slice : slices) stored.Fill(slice);
  return info;
}

void CheckResumable(const fs::path& folder, const std::string& config_sha256,
                    const std::string& settings) {
  const fs::path latest = folder / "checkpoints" / "LATEST";
  if (!fs::exists(latest)) return;
  const OpenedCheckpoint opened = OpenLatest(latest);
  CheckSameConfig(opened.folder, InfoOf(opened.manifest), config_sha256, settings);
}

nlohmann::ordered_json DescribeCheckpoints(const fs::path& folder) {
  const fs::path checkpoints = folder / "checkpoints";
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const std::string& name : StepFolders(checkpoints)) {
    nlohmann::ordered_json entry = {{"name", name}};
    try {
      const Json manifest = ReadManifest(checkpoints / name / kManifestName);
      const CheckpointInfo info = InfoOf(manifest);
      std::set<std::string> tensors;
      uintmax_t bytes = 0;
      for (const Json& file : manifest.at("files")) {
        for (const auto& [tensor, piece] : file.at("tensors").items()) tensors.insert(tensor);
      }
      entry.update({{"step", info.step},
                    {"ranks", info.ranks},
                    {"value", info.value},
                    {"files", manifest.at("files").size()},
                    {"tensors", tensors.size()}});
      for (const Json& file : manifest.at("files")) {
        const fs::path path = checkpoints / name / file.at("name").get<std::string>();
        VerifyFile(path, file.at("sha256"));
        bytes += fs::file_size(path);
      }
      entry.update({{"bytes", bytes}, {"fault", nullptr}});
    } catch (const std::exception& error) {
      entry["fault"] = error.what();
    }
    list.push_back(entry);
  }
  nlohmann::ordered_json report = {
      {"latest", nullptr}, {"latest_fault", nullptr}, {"checkpoints", list}};
  const fs::path latest = checkpoints / "LATEST";
  if (!fs::exists(latest)) return report;
  try {
    report["latest"] = OpenLatest(latest).folder.filename().string();
  } catch (const DataError& error) {
    report["latest_fault"] = error.what();
  }
  return report;
}

}  // namespace flame
