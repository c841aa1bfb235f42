#include "launch/run/stage.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "trainer/checkpoint/checkpoint.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path RecordPath(const fs::path& run_dir, const std::string& stage) {
  return run_dir / ".stages" / (stage + ".json");
}

// Returns the regular files of an output, which is a file or a folder, sorted.
std::vector<fs::path> FilesOf(const fs::path& output) {
  std::vector<fs::path> files;
  if (fs::is_regular_file(output)) files.push_back(output);
  if (fs::is_directory(output)) {
    for (const auto& entry : fs::recursive_directory_iterator(output)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

json ReadRecord(const fs::path& run_dir, const std::string& stage) {
  const fs::path path = RecordPath(run_dir, stage);
  if (!fs::exists(path)) return json();
  json record = json::parse(ReadWholeFile(path), nullptr, /*allow_exceptions=*/false);
  bool whole = record.is_object() && record.value("inputs", json()).is_string() &&
               record.value("outputs", json()).is_object() && !record["outputs"].empty();
  if (whole) {
    for (const auto& [name, entry] : record["outputs"].items()) {
      whole = whole && entry.is_object() && entry.value("bytes", json()).is_number_unsigned() &&
              entry.value("sha256", json()).is_string();
    }
  }
  if (!whole) {
    throw DataError(path.string(),
                    ": expected a stage record with 'inputs' and 'outputs'; delete "
                    "the file to have the stage made again");
  }
  return record;
}

// Throws DataError if an output no longer has the recorded SHA-256.
void CheckBytes(const fs::path& run_dir, const json& record) {
  for (const auto& [name, entry] : record.at("outputs").items()) {
    const std::string found = Sha256OfFile(run_dir / name), expected = entry.at("sha256");
    if (found == expected) continue;
    throw DataError((run_dir / name).string(), ": damaged: its SHA-256 is ", found, ", expected ",
                    expected, "; delete it to have its stage made again");
  }
}

// Returns "" if every recorded output exists with its size, else a description of the fault.
std::string FaultOfOutputs(const fs::path& run_dir, const json& record) {
  for (const auto& [name, entry] : record.at("outputs").items()) {
    std::error_code error;
    const auto size = fs::file_size(run_dir / name, error);
    if (error) return StrCat((run_dir / name).string(), " is missing");
    if (size != entry.at("bytes").get<uintmax_t>()) {
      return StrCat((run_dir / name).string(), " has ", size, " bytes, expected ",
                    entry.at("bytes"));
    }
  }
  return "";
}

std::string DigestOfOutputs(const json& record) { return Sha256(record.at("outputs").dump()); }

// Moves the results of other inputs out of the stage's folder. A folder of the same inputs stays,
// because a training resumes from it.
void PutAsideStale(const Stage& stage, const std::string& inputs) {
  const fs::path folder = stage.run_dir / stage.name;
  const fs::path begun = stage.run_dir / ".stages" / (stage.name + ".begun");
  const std::string begun_with = fs::exists(begun) ? ReadWholeFile(begun) : "";
  if (begun_with != inputs) {
    // Refuses to move a half-finished training: the changed settings may be a mistake.
    if (!fs::exists(RecordPath(stage.run_dir, stage.name))) {
      CheckResumable(folder, inputs, stage.settings);
    }
    const fs::path aside = stage.run_dir / (stage.name + ".stale-" + begun_with.substr(0, 8));
    bool moved = false;
    const auto move_aside = [&](const fs::path& from, const fs::path& to) {
      if (!fs::exists(from)) return;
      if (!moved) fs::remove_all(aside);
      fs::create_directories(to.parent_path());
      fs::rename(from, to);
      moved = true;
    };
    move_aside(folder, aside);
    for (const fs::path& output : stage.outputs) {
      // Outputs inside the stage's folder have moved with it.
      if (*output.begin() != stage.name) move_aside(stage.run_dir / output, aside / output);
    }
    if (moved) {
      LogInfo("stage ", stage.name, ": its inputs changed; earlier results moved to ",
              aside.string());
    }
    WriteFileAtomically(begun, inputs);
  }
  fs::remove(RecordPath(stage.run_dir, stage.name));
}

std::string PeakText(const std::vector<int64_t>& peaks) {
  if (peaks.empty()) return "";
  const int64_t most = *std::max_element(peaks.begin(), peaks.end());
  const int64_t tenths = most / 100000;  // of a megabyte
  return StrCat(", at most ", static_cast<double>(tenths) / 10, " MB of tensors on a rank");
}

// Replaces `to` by a hard link to `from`, or by a copy if the file system has no links.
void LinkFile(const fs::path& from, const fs::path& to) {
  fs::create_directories(to.parent_path());
  fs::remove(to);
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (!error) return;
  AtomicPath copy(to, AtomicPath::Kind::kFile);
  fs::copy_file(from, copy.temporary());
  copy.Commit();
}

}  // namespace

bool IsCurrent(const Stage& stage) {
  const json record = ReadRecord(stage.run_dir, stage.name);
  return record.is_object() && record.at("inputs") == Sha256(stage.inputs) &&
         FaultOfOutputs(stage.run_dir, record).empty();
}

bool BeginStage(const Stage& stage) {
  StopIfRequested();
  if (IsCurrent(stage)) {
    LogInfo("stage ", stage.name, ": inputs unchanged, skipped");
    return false;
  }
  if (stage.check) stage.check();
  PutAsideStale(stage, Sha256(stage.inputs));
  LogInfo("stage ", stage.name, ": started");
  return true;
}

void FinishStage(const Stage& stage, const StageCost& cost) {
  json outputs = json::object();
  for (const fs::path& output : stage.outputs) {
    const auto files = FilesOf(stage.run_dir / output);
    if (files.empty()) {
      throw MachineError("stage ", stage.name, " left no ", (stage.run_dir / output).string());
    }
    for (const fs::path& file : files) {
      outputs[fs::relative(file, stage.run_dir).string()] = {{"bytes", fs::file_size(file)},
                                                             {"sha256", Sha256OfFile(file)}};
    }
  }
  const json record = {{"settings", Sha256(stage.settings)},
                       {"inputs", Sha256(stage.inputs)},
                       {"earlier", stage.earlier},
                       {"outputs", outputs},
                       {"seconds", cost.seconds},
                       {"peak_bytes", cost.peak_bytes}};
  WriteFileAtomically(RecordPath(stage.run_dir, stage.name), record.dump(2) + "\n");
  LogInfo("stage ", stage.name, ": done in ", HumanDuration(cost.seconds),
          PeakText(cost.peak_bytes));
}

void CheckSettings(const fs::path& run_dir, const std::string& stage, const std::string& settings) {
  const json record = ReadRecord(run_dir, stage);
  if (!record.is_object() || record.value("settings", "") == Sha256(settings)) return;
  throw DataError("stage ", stage, " in ", run_dir.string(),
                  " was made with other settings than these; expected those in ",
                  (run_dir / "config.yaml").string(),
                  ". `flame pipeline` makes again what these settings change");
}

void ShareStages(const fs::path& from, const fs::path& to) {
  if (!fs::is_directory(from / ".stages")) {
    throw DataError((from / ".stages").string(), " is missing: no stage there can be shared");
  }
  for (const auto& entry : fs::directory_iterator(from / ".stages")) {
    if (entry.path().extension() != ".json") continue;
    const std::string stage = entry.path().stem().string();
    const json record = ReadRecord(from, stage);
    if (ReadRecord(to, stage) == record) continue;
    const std::string fault = FaultOfOutputs(from, record);
    if (!fault.empty()) throw DataError("stage ", stage, " cannot be shared: ", fault);
    for (const auto& [name, output] : record.at("outputs").items()) {
      LinkFile(from / name, to / name);
    }
    const fs::path begun = fs::path(".stages") / (stage + ".begun");
    WriteFileAtomically(to / begun, ReadWholeFile(from / begun));
    // The record comes last: once it exists, the stage counts as done in `to`.
    WriteFileAtomically(RecordPath(to, stage), record.dump(2) + "\n");
  }
}

const char* StateName(StageState::State state) {
  switch (state) {
    case StageState::kMissing:
      return "not made";
    case StageState::kBegun:
      return "begun";
    case StageState::kDone:
      return "done";
    case StageState::kStale:
      return "stale";
  }
  return "";
}

StageState StateOfStage(const fs::path& run_dir, const std::string& stage,
                        const std::string& settings) {
  StageState result;
  try {
    const json record = ReadRecord(run_dir, stage);
    if (!record.is_object()) {
      const bool begun = fs::exists(run_dir / ".stages" / (stage + ".begun"));
      result.state = begun ? StageState::kBegun : StageState::kMissing;
      return result;
    }
    result.seconds = record.value("seconds", 0.0);
    result.ranks = record.value("peak_bytes", json::array()).size();
    result.why = FaultOfOutputs(run_dir, record);
    if (result.why.empty() && record.value("settings", "") != Sha256(settings)) {
      result.why = "made with other settings than those in " + (run_dir / "config.yaml").string();
    }
    // A record without 'earlier' tells nothing of the stages before.
    const json earlier = record.value("earlier", json::object());
    if (!earlier.is_object()) {
      throw DataError(RecordPath(run_dir, stage).string(), ": expected 'earlier' to be an object");
    }
    for (const auto& [name, digest] : earlier.items()) {
      if (!result.why.empty()) break;
      const json before = ReadRecord(run_dir, name);
      if (!before.is_object() || DigestOfOutputs(before) != digest.get<std::string>()) {
        result.why = "made from another " + name;
      }
    }
  } catch (const Error& error) {
    result.why = error.what();
  } catch (const json::exception& error) {
    result.why = RecordPath(run_dir, stage).string() + ": " + error.what();
  }
  result.state = result.why.empty() ? StageState::kDone : StageState::kStale;
  return result;
}

double SecondsOfStage(const fs::path& run_dir, const std::string& stage) {
  const json record = ReadRecord(run_dir, stage);
  return record.is_object() ? record.value("seconds", 0.0) : 0;
}

std::string OutputDigest(const fs::path& run_dir, const std::string& stage) {
  const json record = ReadRecord(run_dir, stage);
  const std::string fault = record.is_object()
                                ? FaultOfOutputs(run_dir, record)
                                : StrCat(RecordPath(run_dir, stage).string(), " is missing");
  if (!fault.empty()) {
    throw DataError("stage ", stage, " is not done in ", run_dir.string(), ": ", fault,
                    "; run `flame pipeline`, or the stage's own command, first");
  }
  CheckBytes(run_dir, record);
  return DigestOfOutputs(record);
}

}  // namespace flame
