#include "comm/engine.h"

#include <algorithm>
#include <chrono>

namespace flame {
namespace {

constexpr auto kBackgroundPeriod = std::chrono::milliseconds(1);
// After this many periods with nothing under way the background thread sleeps until woken.
constexpr int kIdlePeriods = 100;
// Several polls a period, because a large transfer moves only one window a poll.
constexpr int kPollsEachPeriod = 16;

}  // namespace

Engine::~Engine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (background_.joinable()) background_.join();
  if (!pending_.empty()) new std::list<std::shared_ptr<Operation>>(std::move(pending_));
}

void Engine::Start(std::shared_ptr<Operation> operation) {
  std::lock_guard lock(mutex_);
  if (operation->Advance()) return;
  pending_.push_back(std::move(operation));
  if (!background_.joinable()) background_ = std::thread([this] { Background(); });
  if (asleep_) wake_.notify_all();
}

void Engine::Progress() {
  for (auto at = pending_.begin(); at != pending_.end();) {
    at = (*at)->Advance() ? pending_.erase(at) : std::next(at);
  }
}

bool Engine::Moving() const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [](const auto& operation) { return operation->Moving(); });
}

bool Engine::Idle() {
  std::lock_guard lock(mutex_);
  return pending_.empty();
}

void Engine::Background() {
  int idle_periods = 0;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    idle_periods = pending_.empty() ? idle_periods + 1 : 0;
    for (int i = 0; i < kPollsEachPeriod && !pending_.empty(); ++i) Progress();
    if (idle_periods < kIdlePeriods) {
      wake_.wait_for(lock, kBackgroundPeriod, [this] { return stopping_; });
    } else {
      asleep_ = true;
      wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
      asleep_ = false;
      idle_periods = 0;
    }
  }
}

}  // namespace flame
