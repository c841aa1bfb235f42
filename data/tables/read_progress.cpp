#include "data/tables/read_progress.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include "base/progress.h"

namespace flame {
namespace {

constexpr int64_t kLeastShown = int64_t{256} << 20;
constexpr int64_t kUnit = 1 << 20;

std::mutex mutex;
std::unique_ptr<Progress> progress;
int64_t left = 0;    // bytes that may still be counted
int64_t behind = 0;  // bytes counted and not yet shown: less than a unit

}  // namespace

ReadProgress::ReadProgress(int64_t bytes) {
  if (bytes < kLeastShown) return;
  const std::lock_guard lock(mutex);
  progress = std::make_unique<Progress>("tables", bytes / kUnit, "MB");
  left = bytes / kUnit * kUnit;
  behind = 0;
}

ReadProgress::~ReadProgress() {
  const std::lock_guard lock(mutex);
  progress.reset();
}

void ReadProgress::Count(int64_t bytes) {
  const std::lock_guard lock(mutex);
  if (progress == nullptr) return;
  bytes = std::min(bytes, left);
  left -= bytes;
  behind += bytes;
  if (behind < kUnit) return;
  progress->Add(behind / kUnit);
  behind %= kUnit;
}

}  // namespace flame
