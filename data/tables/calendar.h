// Times as hospital tables write them.
#ifndef FLAME_DATA_TABLES_CALENDAR_H_
#define FLAME_DATA_TABLES_CALENDAR_H_

#include <chrono>
#include <optional>
#include <string_view>

namespace flame {

using Moment = std::chrono::sys_seconds;

// Reads year, month and day, separated by hyphens or by slashes, and a time of day if one follows,
// behind blanks or a T: "2164-10-23 21:09:00", "2164-10-23", "2164/1/7 9:05",
// "2164-10-23T21:09:00.000Z". Returns nothing if the text is none of these or names a day or time
// that does not exist.
std::optional<Moment> ParseMoment(std::string_view text);

int32_t YearOf(Moment moment);

}  // namespace flame

#endif  // FLAME_DATA_TABLES_CALENDAR_H_
