// Work beside the caller's.
#ifndef FLAME_BASE_BACKGROUND_H_
#define FLAME_BASE_BACKGROUND_H_

#include <future>

namespace flame {

// For std::async: a thread of its own, or, if no thread can be started, the caller's when it asks
// for the result.
inline constexpr auto kInBackground = std::launch::async | std::launch::deferred;

}  // namespace flame

#endif  // FLAME_BASE_BACKGROUND_H_
