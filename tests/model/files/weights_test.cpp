// Tests sharded weights that do not fit their index, and what a reader keeps in memory.
#include "model/files/weights.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class Shards : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    WriteWeights(folder_ / "1.safetensors", {{"a", at::zeros({2})}, {"b", at::zeros({3})}});
    WriteWeights(folder_ / "2.safetensors", {{"c", at::zeros({4})}});
    WriteIndex({{"a", "1.safetensors"}, {"b", "1.safetensors"}, {"c", "2.safetensors"}});
  }
  void TearDown() override { fs::remove_all(folder_); }
  void WriteIndex(const json& map) const {
    WriteFileAtomically(folder_ / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
  }
  std::string Error() const {
    try {
      WeightReader::OfFolder(folder_).Check({{"a", {2}}, {"b", {3}}, {"c", {4}}});
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  }
  const fs::path folder_ = fs::temp_directory_path() / ("flame-shards-" + std::to_string(getpid()));
};

TEST_F(Shards, AsTheIndexSays_AreRead) {
  EXPECT_EQ(Error(), "no error");
  EXPECT_EQ(WeightReader::OfFolder(folder_).Read("c", at::kBFloat16).sizes(), at::IntArrayRef{4});
}

TEST_F(Shards, AbsentFiles_AreAllNamed) {
  fs::remove(folder_ / "1.safetensors");
  fs::remove(folder_ / "2.safetensors");
  EXPECT_THAT(Error(), AllOf(HasSubstr("1.safetensors"), HasSubstr("2.safetensors"),
                             HasSubstr("index.json names files that are absent")));
}

TEST_F(Shards, TensorsElsewhereThanIndexed_AreAllInOneMessage) {
  WriteIndex({{"a", "2.safetensors"}, {"b", "1.safetensors"}, {"d", "1.safetensors"}});
  WriteWeights(folder_ / "2.safetensors", {{"b", at::zeros({3})}});
  EXPECT_THAT(Error(),
              AllOf(HasSubstr("a: in "), HasSubstr("but the index has it in 2.safetensors"),
                    HasSubstr("b: in both "), HasSubstr("d: not in "),
                    HasSubstr("c: missing, expected [4]")));
}

TEST_F(Shards, TensorTheIndexDoesNotName_IsReadWhereExpected) {
  WriteIndex({{"a", "1.safetensors"}, {"c", "2.safetensors"}});
  EXPECT_EQ(Error(), "no error");
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("Rss:")) return std::stoll(line.substr(4)) * 1024;
  }
  return -1;
}

// Reads 64 MB of float32; the memory beside the copy must be far less than the file's pages.
TEST_F(Shards, ReadTensor_LeavesNoPagesOfTheFile) {
  const at::Tensor written = at::arange(int64_t{1} << 24, at::kFloat).view({1 << 12, 1 << 12});
  const fs::path path = folder_ / "large.safetensors";
  WriteWeights(path, {{"x", written}});
  const WeightReader reader({path});
  const int64_t before = ResidentBytes();
  ASSERT_GT(before, 0);
  const at::Tensor read = reader.Read("x", at::kFloat);
  EXPECT_LT(ResidentBytes() - before, (64 << 20) + (8 << 20));
  EXPECT_TRUE(at::equal(read, written));
}

TEST_F(Shards, BlocksOfRows_CoverATensorInOrder) {
  const at::Tensor written = at::arange(int64_t{1} << 23, at::kFloat).view({1 << 11, 1 << 12});
  const fs::path path = folder_ / "large.safetensors";
  WriteWeights(path, {{"x", written}});
  int64_t next = 0, blocks = 0;
  WeightReader({path}).ReadRows("x", at::kDouble, [&](int64_t first, const at::Tensor& rows) {
    EXPECT_EQ(first, next);
    EXPECT_TRUE(at::equal(rows, written.narrow(0, first, rows.size(0)).to(at::kDouble)));
    next += rows.size(0);
    ++blocks;
  });
  EXPECT_EQ(next, 1 << 11);
  EXPECT_GT(blocks, 1);
}

}  // namespace
}  // namespace flame
