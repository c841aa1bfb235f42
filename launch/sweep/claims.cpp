#include "launch/sweep/claims.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string ThisProcess() {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return StrCat(host, ":", getpid());
}

// Returns 12 for "12.json", and 0 for any other name, such as that of a temporary file.
int64_t NumberOf(const fs::path& file) {
  const std::string stem = file.stem().string();
  const bool digits =
      !stem.empty() && stem.size() < 10 &&
      std::all_of(stem.begin(), stem.end(), [](char c) { return '0' <= c && c <= '9'; });
  return digits && file.extension() == ".json" ? std::stoll(stem) : 0;
}

// Reads a file again if that fails: over NFS a file can be replaced under its reader.
std::string ReadReplaced(const fs::path& file) {
  constexpr int kTries = 5;
  for (int i = 1;; ++i) {
    try {
      return ReadWholeFile(file);
    } catch (const DataError&) {
      if (i == kTries) throw;
    }
  }
}

// Reads an attempt's file. An empty file is a claim, too: its owner was killed, or is about to
// write it.
Attempt ReadAttempt(const fs::path& file, const std::string& job, int64_t number) {
  Attempt attempt;
  attempt.job = job;
  attempt.number = number;
  attempt.silence =
      std::chrono::duration<double>(fs::file_time_type::clock::now() - fs::last_write_time(file))
          .count();
  const std::string text = ReadReplaced(file);
  if (text.empty()) return attempt;
  try {
    const json object = json::parse(text);
    attempt.owner = object.at("owner");
    attempt.beat = object.at("beat");
    attempt.end = object.at("end");
    attempt.status = object.at("status");
  } catch (const json::exception&) {
    throw DataError(file.string(),
                    ": expected an attempt with owner, beat, end and status, found '",
                    text.substr(0, 80), "'; delete the file to have the job tried again");
  }
  return attempt;
}

}  // namespace

JobState StateOf(const std::vector<Attempt>& attempts, int64_t retries) {
  if (attempts.empty() || attempts.back().end == "stopped") return JobState::kWaiting;
  const Attempt& last = attempts.back();
  if (last.end.empty()) return JobState::kRunning;
  if (last.end == "done") return JobState::kDone;
  const auto failures = std::count_if(attempts.begin(), attempts.end(), [](const Attempt& attempt) {
    return attempt.end == "failed" || attempt.end.empty();
  });
  const bool comes_again = last.status == static_cast<int>(ExitStatus::kUsage) ||
                           last.status == static_cast<int>(ExitStatus::kData);
  return comes_again || failures > retries ? JobState::kFailed : JobState::kWaiting;
}

SweepClaims::SweepClaims(fs::path dir) : dir_(std::move(dir)), owner_(ThisProcess()) {}

std::vector<Attempt> SweepClaims::AttemptsAt(const std::string& job) const {
  std::vector<Attempt> attempts;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(Folder(job), none)) {
    const int64_t number = NumberOf(entry.path());
    if (number > 0) attempts.push_back(ReadAttempt(entry.path(), job, number));
  }
  std::sort(attempts.begin(), attempts.end(),
            [](const Attempt& a, const Attempt& b) { return a.number < b.number; });
  return attempts;
}

std::optional<Attempt> SweepClaims::Claim(const std::string& job, int64_t number) {
  std::error_code error;
  fs::create_directories(Folder(job), error);
  const fs::path file = Folder(job) / StrCat(number, ".json");
  const int made = error ? -1 : open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (made < 0 && !error && errno == EEXIST) return std::nullopt;
  if (made < 0) {
    throw MachineError(file.string(),
                       ": cannot be made: ", error ? error.message() : std::strerror(errno));
  }
  close(made);
  Attempt attempt;
  attempt.job = job;
  attempt.number = number;
  attempt.owner = owner_;
  if (!Write(&attempt)) return std::nullopt;
  return attempt;
}

bool SweepClaims::Write(Attempt* attempt) {
  if (fs::exists(Folder(attempt->job) / StrCat(attempt->number + 1, ".json"))) return false;
  ++attempt->beat;
  const json object = {{"owner", attempt->owner},
                       {"beat", attempt->beat},
                       {"end", attempt->end},
                       {"status", attempt->status}};
  WriteFileAtomically(Folder(attempt->job) / StrCat(attempt->number, ".json"),
                      object.dump() + "\n");
  return true;
}

bool SilenceWatch::IsSilent(const Attempt& attempt, Clock::time_point now) {
  const auto [entry, fresh] =
      seen_.try_emplace(attempt.job, Seen{attempt.number, attempt.beat, now});
  Seen& seen = entry->second;
  if (seen.number != attempt.number || seen.beat != attempt.beat) {
    seen = {attempt.number, attempt.beat, now};
  }
  return now - seen.since > deadline_;
}

}  // namespace flame
