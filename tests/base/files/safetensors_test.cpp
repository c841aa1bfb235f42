#include "base/files/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Writes a file by hand from the format's description. `claimed_header` replaces the header length.
fs::path HandMade(const TemporaryFolder& folder, const std::string& header, const std::string& data,
                  uint64_t claimed_header = 0) {
  const uint64_t length = claimed_header ? claimed_header : header.size();
  std::string bytes(reinterpret_cast<const char*>(&length), 8);
  WriteFileAtomically(folder / "x.safetensors", bytes + header + data);
  return folder / "x.safetensors";
}

std::string FaultOf(const std::string& header, const std::string& data,
                    uint64_t claimed_header = 0) {
  const TemporaryFolder folder;
  try {
    SafetensorsFile file(HandMade(folder, header, data, claimed_header));
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.safetensors"));
    return error.what();
  }
  return "no error";
}

std::string OneTensor(const std::string& dtype, const std::string& shape,
                      const std::string& offsets) {
  return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(SafetensorsFile, HandMadeFile_ReadAsDescribed) {
  const TemporaryFolder folder;
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"I16","shape":[2,1],"data_offsets":[4,8]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}  )";
  const std::string data("\0\0\xc0\x3f\x01\0\xff\xff", 8);  // 1.5, then 1 and -1
  const SafetensorsFile file(HandMade(folder, header, data));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  const TensorView& a = file.tensors().at("a");
  float value = 0;
  std::memcpy(&value, a.data, 4);
  EXPECT_EQ(value, 1.5f);
  EXPECT_TRUE(a.shape.empty());
  const TensorView& b = file.tensors().at("b");
  EXPECT_EQ(b.dtype, "I16");
  EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(b.num_bytes, 4u);
  EXPECT_EQ(std::memcmp(b.data, data.data() + 4, 4), 0);
}

TEST(WriteSafetensors, EveryDtype_ComesBackEqualAndAligned) {
  const TemporaryFolder folder;
  const std::map<std::string, size_t> sizes = {{"BOOL", 1}, {"U8", 1},   {"I8", 1},  {"I16", 2},
                                               {"F16", 2},  {"BF16", 2}, {"I32", 4}, {"F32", 4},
                                               {"I64", 8},  {"F64", 8}};
  const std::string bytes = "the twenty-four bytes...";
  std::map<std::string, TensorView> tensors;
  for (const auto& [dtype, size] : sizes) tensors[dtype] = {dtype, {3, 1}, bytes.data(), 3 * size};
  tensors["empty"] = {"F32", {0, 7}, nullptr, 0};
  WriteSafetensors(folder / "x.safetensors", tensors, {{"format", "pt"}, {"step", "7"}});
  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_EQ(file.metadata().at("step"), "7");
  ASSERT_EQ(file.tensors().size(), sizes.size() + 1);
  for (const auto& [dtype, size] : sizes) {
    const TensorView& view = file.tensors().at(dtype);
    EXPECT_EQ(view.dtype, dtype);
    EXPECT_EQ(view.shape, (std::vector<int64_t>{3, 1}));
    EXPECT_EQ(std::string(static_cast<const char*>(view.data), view.num_bytes),
              bytes.substr(0, 3 * size));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data) % size, 0u) << dtype;
  }
  EXPECT_EQ(file.tensors().at("empty").shape, (std::vector<int64_t>{0, 7}));
}

TEST(WriteSafetensors, SizeContradictsShape_DataErrorAndNoFile) {
  const TemporaryFolder folder;
  const float values[2] = {};
  EXPECT_THAT(
      [&] {
        WriteSafetensors(folder / "x.safetensors", {{"w", {"F32", {3}, values, 8}}});
      },
      ThrowsMessage<DataError>(AllOf(HasSubstr("'w'"), HasSubstr("8 bytes"), HasSubstr("12"))));
  EXPECT_FALSE(fs::exists(folder / "x.safetensors"));
}

TEST(WriteSafetensors, DiskFull_MachineErrorAndOldFileKept) {
  const SmallDisk disk;
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const fs::path path = disk.path() / "x.safetensors";
  WriteSafetensors(path, {});
  const std::vector<float> values(1 << 20);
  EXPECT_THAT(
      [&] {
        WriteSafetensors(path, {{"w", {"F32", {1 << 20}, values.data(), values.size() * 4}}});
      },
      ThrowsMessage<MachineError>(AllOf(HasSubstr("x.safetensors"), HasSubstr("No space left"))));
  EXPECT_TRUE(SafetensorsFile(path).tensors().empty());
}

TEST(SafetensorsFile, OffsetsOverlap_DataError) {
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  EXPECT_THAT(FaultOf(header, std::string(8, 'x')),
              AllOf(HasSubstr("'b' starts at byte 4; expected 8"), HasSubstr("overlaps")));
}

TEST(SafetensorsFile, HoleOrRest_DataError) {
  EXPECT_THAT(FaultOf(OneTensor("I8", "[4]", "[4,8]"), std::string(8, 'x')), HasSubstr("a hole"));
  EXPECT_THAT(FaultOf(OneTensor("I8", "[4]", "[0,4]"), std::string(8, 'x')),
              HasSubstr("end at byte 4 of 8"));
}

TEST(SafetensorsFile, DataTruncated_DataError) {
  EXPECT_THAT(FaultOf(OneTensor("F32", "[2]", "[0,8]"), std::string(7, 'x')),
              AllOf(HasSubstr("'t' ends at byte 8 of 7"), HasSubstr("truncated")));
}

TEST(SafetensorsFile, OffsetsContradictShape_DataError) {
  EXPECT_THAT(FaultOf(OneTensor("F32", "[2]", "[0,4]"), std::string(4, 'x')), HasSubstr("8 bytes"));
  EXPECT_THAT(FaultOf(OneTensor("F32", "[2]", "[8,0]"), std::string(8, 'x')), HasSubstr("[8, 0)"));
  EXPECT_THAT(FaultOf(OneTensor("I8", "[4]", "[0,4,4]"), "xxxx"), HasSubstr("data_offsets"));
  EXPECT_THAT(FaultOf(OneTensor("I8", "[-4]", "[0,4]"), "xxxx"), HasSubstr("shape"));
  EXPECT_THAT(FaultOf(OneTensor("I8", "[4294967296,4294967296]", "[0,0]"), ""),
              HasSubstr("too large"));
}

TEST(SafetensorsFile, HeaderLongerThanFile_DataError) {
  EXPECT_THAT(FaultOf("{}", "", 3), HasSubstr("claims 3 bytes; at most 2"));
  EXPECT_THAT(FaultOf("{}", "", ~uint64_t{0}), HasSubstr("claims 18446744073709551615 bytes"));
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "x", "1234567");
  EXPECT_THAT([&] { SafetensorsFile(folder / "x"); },
              ThrowsMessage<DataError>(HasSubstr("7 bytes are no safetensors file")));
}

TEST(SafetensorsFile, HeaderMalformed_DataError) {
  EXPECT_THAT(FaultOf("{\"a\":", ""), HasSubstr("not JSON"));
  EXPECT_THAT(FaultOf("[]", ""), HasSubstr("not an object"));
  EXPECT_THAT(FaultOf(R"({"t":{"dtype":"F32"}})", ""), HasSubstr("'t': expected dtype"));
  EXPECT_THAT(FaultOf(R"({"t":5})", ""), HasSubstr("'t': expected dtype"));
  EXPECT_THAT(FaultOf(OneTensor("Q4", "[1]", "[0,1]"), "x"), HasSubstr("unknown dtype 'Q4'"));
  EXPECT_THAT(FaultOf(R"({"__metadata__":{"a":1}})", ""), HasSubstr("__metadata__"));
  EXPECT_THAT(FaultOf(R"({"__metadata__":{},"__metadata__":{}})", ""), HasSubstr("twice"));
}

TEST(SafetensorsFile, AbsentOrFolder_DataError) {
  const TemporaryFolder folder;
  EXPECT_THROW(SafetensorsFile(folder / "absent"), DataError);
  EXPECT_THROW(SafetensorsFile(folder.path()), DataError);
}

}  // namespace
}  // namespace flame
