// Time spans of this process.
#ifndef FLAME_BASE_CLOCK_H_
#define FLAME_BASE_CLOCK_H_

#include <chrono>

namespace flame {

using Clock = std::chrono::steady_clock;

// Seconds from `start` until now.
inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace flame

#endif  // FLAME_BASE_CLOCK_H_
