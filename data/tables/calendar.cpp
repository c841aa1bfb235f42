#include "data/tables/calendar.h"

#include <cctype>
#include <charconv>

#include "data/tables/codes.h"

namespace flame {
namespace {

// Takes digits, at least `least` and at most `most` of them, off the front of `text`.
std::optional<int> TakeNumber(std::string_view* text, size_t least, size_t most) {
  size_t size = 0;
  while (size < text->size() && size < most &&
         std::isdigit(static_cast<unsigned char>((*text)[size])) != 0) {
    ++size;
  }
  if (size < least) return std::nullopt;
  int value = 0;
  std::from_chars(text->data(), text->data() + size, value);
  text->remove_prefix(size);
  return value;
}

bool TakeOneOf(std::string_view* text, std::string_view characters) {
  if (text->empty() || characters.find(text->front()) == std::string_view::npos) return false;
  text->remove_prefix(1);
  return true;
}

std::optional<std::chrono::sys_days> TakeDay(std::string_view* text) {
  const auto year = TakeNumber(text, 4, 4);
  const std::string_view separator = text->substr(0, 1);
  if (!year || !TakeOneOf(text, "-/")) return std::nullopt;
  const auto month = TakeNumber(text, 1, 2);
  if (!month || !TakeOneOf(text, separator)) return std::nullopt;
  const auto day = TakeNumber(text, 1, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

// Takes 9:05, 21:09:00 or 21:09:00.000, with a Z behind it or not. Fractions are dropped.
std::optional<std::chrono::seconds> TakeTimeOfDay(std::string_view* text) {
  const auto hour = TakeNumber(text, 1, 2);
  if (!hour || *hour > 23 || !TakeOneOf(text, ":")) return std::nullopt;
  const auto minute = TakeNumber(text, 2, 2);
  if (!minute || *minute > 59) return std::nullopt;
  int second = 0;
  if (TakeOneOf(text, ":")) {
    const auto found = TakeNumber(text, 2, 2);
    if (!found || *found > 59) return std::nullopt;
    second = *found;
    if (TakeOneOf(text, ".") && !TakeNumber(text, 1, 9)) return std::nullopt;
  }
  TakeOneOf(text, "Z");
  return std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(second);
}

}  // namespace

std::optional<Moment> ParseMoment(std::string_view text) {
  text = Trimmed(text);
  const auto day = TakeDay(&text);
  if (!day) return std::nullopt;
  if (text.empty()) return *day;
  if (!TakeOneOf(&text, " T")) return std::nullopt;
  while (TakeOneOf(&text, " ")) {
  }
  const auto time = TakeTimeOfDay(&text);
  if (!time || !text.empty()) return std::nullopt;
  return *day + *time;
}

int32_t YearOf(Moment moment) {
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(moment));
  return static_cast<int>(date.year());
}

}  // namespace flame
