#include "data/tables/calendar.h"

#include <gtest/gtest.h>

namespace flame {
namespace {

using std::chrono::sys_days;
using std::chrono::year_month_day;
using namespace std::chrono_literals;

TEST(ParseMoment, EveryForm_IsTheSameMoment) {
  const Moment expected = sys_days(year_month_day(2120y / 1 / 7)) + 9h + 5min;
  for (const char* text :
       {"2120-01-07 09:05:00", "2120-1-7 9:05", "2120/01/07 09:05", "2120-01-07T09:05:00",
        "2120-01-07T09:05:00.000Z", " 2120-01-07  09:05:00 "}) {
    const auto found = ParseMoment(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(*found, expected) << text;
    EXPECT_EQ(YearOf(*found), 2120);
  }
}

TEST(ParseMoment, DayAlone_IsItsFirstSecond) {
  EXPECT_EQ(ParseMoment("2000-02-29"), Moment(sys_days(year_month_day(2000y / 2 / 29))));
  EXPECT_LT(ParseMoment("1810-03-05"), ParseMoment("1810-03-05 00:00:01"));
}

TEST(ParseMoment, NoSuchMoment_IsRefused) {
  for (const char* text :
       {"2120-13-01 00:00:00", "2120-00-01", "2121-02-29", "2120-01-32", "2120-01-07 24:00:00",
        "2120-01-07 09:60:00", "2120-01-07 09:05:60", "01/07/2120", "20-01-07", "2120-01/07",
        "2120-01-07 9", "2120-01-07 09:05:00 PM", "2120-01-07x", "21200107", "", "unknown",
        "2120-01-07 09:5"}) {
    EXPECT_FALSE(ParseMoment(text)) << text;
  }
}

}  // namespace
}  // namespace flame
