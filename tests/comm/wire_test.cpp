#include "comm/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flame {
namespace {

std::string Example() {
  WireWriter out;
  out.Pod<int64_t>(-5);
  out.Vector(std::vector<int32_t>{1, 2, 3});
  out.Text("a drug");
  out.Vector(std::vector<float>{});
  out.Text("");
  out.Pod(1.5f);
  return out.Take();
}

TEST(Wire, EveryKindOfField_ReadsBackInOrder) {
  WireReader in(Example());
  EXPECT_EQ(in.Pod<int64_t>(), -5);
  EXPECT_EQ(in.Vector<int32_t>(), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(in.Text(), "a drug");
  EXPECT_TRUE(in.Vector<float>().empty());
  EXPECT_EQ(in.Text(), "");
  EXPECT_FALSE(in.Done());
  EXPECT_EQ(in.Pod<float>(), 1.5f);
  EXPECT_TRUE(in.Done());
}

TEST(Wire, Layout_IsCountThenLittleEndianElements) {
  WireWriter out;
  out.Vector(std::vector<uint16_t>{0x0201, 0x0403});
  EXPECT_EQ(out.Take(), std::string("\x02\0\0\0\0\0\0\0\x01\x02\x03\x04", 12));
  EXPECT_EQ(out.Take(), "");
}

void ReadExample(const std::string& bytes) {
  WireReader in(bytes);
  in.Pod<int64_t>();
  in.Vector<int32_t>();
  in.Text();
  in.Vector<float>();
  in.Text();
  in.Pod<float>();
}

TEST(Wire, CutAtAnyByte_IsADataError) {
  const std::string whole = Example();
  EXPECT_NO_THROW(ReadExample(whole));
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THROW(ReadExample(whole.substr(0, length)), DataError) << length;
  }
}

TEST(Wire, AbsurdCount_IsADataErrorAndNotAnAllocation) {
  WireWriter out;
  out.Pod<uint64_t>(uint64_t{1} << 62);
  out.Pod<uint64_t>(7);
  WireReader in(out.Take());
  try {
    in.Vector<int64_t>();
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("message too short: 4611686018427387904 "
                                                 "element(s) of 8 byte(s) expected at byte 8 of "
                                                 "16, 8 byte(s) left"));
  }
}

}  // namespace
}  // namespace flame
