// Exchanges files with h5py and safetensors. tests/peers/test_base_formats.py writes their files,
// runs these tests on the folder and reads the files that the tests write.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/files/hdf5.h"
#include "base/files/safetensors.h"

namespace flame {
namespace {

class PeerFiles : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("FLAME_TEST_PEER_FILES");
    if (!folder) GTEST_SKIP() << "tests/peers/test_base_formats.py runs this test";
    folder_ = folder;
  }
  std::filesystem::path folder_;
};

TEST_F(PeerFiles, Hdf5_ReadsTheirsWritesOurs) {
  const Hdf5File in = Hdf5File::OpenForReading(folder_ / "theirs.h5");
  EXPECT_EQ(in.Read<int16_t>("steps/index"), (std::vector<int16_t>{-1, 0, 32767}));
  EXPECT_EQ(in.Read<double>("phi"), (std::vector<double>{0.5, -0.25}));
  EXPECT_EQ(in.Read<std::string>("names"), (std::vector<std::string>{"naïve", "", "β"}));
  EXPECT_EQ(in.StringAttribute("schema"), "visits");
  EXPECT_EQ(in.IntAttribute("seed"), 7);

  Hdf5File out = Hdf5File::Create(folder_ / "ours.h5");
  out.WriteMatrix("steps/index", std::vector<int16_t>{-1, 0, 32767, 5}, 2, 2);
  out.Write("phi", std::vector<float>{0.5f, -0.25f});
  out.Write("names", std::vector<std::string>{"naïve", "", "β"});
  out.Write("none", std::vector<int64_t>());
  out.SetAttribute("schema", std::string("visits"));
  out.SetAttribute("seed", int64_t{7});
  out.Close();
}

TEST_F(PeerFiles, Safetensors_ReadsTheirsWritesOurs) {
  const SafetensorsFile in(folder_ / "theirs.safetensors");
  const TensorView& weight = in.tensors().at("weight");
  EXPECT_EQ(weight.dtype, "F32");
  EXPECT_EQ(weight.shape, (std::vector<int64_t>{2, 2}));
  const float values[] = {1.0f, -2.0f, 0.5f, 4.0f};
  EXPECT_EQ(std::memcmp(weight.data, values, sizeof values), 0);
  EXPECT_EQ(in.tensors().at("mask").dtype, "BOOL");
  EXPECT_EQ(in.metadata().at("format"), "pt");

  const uint16_t halves[] = {0x3F80, 0xC000, 0x3F00};  // 1, -2, 0.5 in bfloat16
  WriteSafetensors(folder_ / "ours.safetensors",
                   {{"a.odd", {"BF16", {3}, halves, 6}},
                    {"b.weight", {"F32", {2, 2}, values, 16}},
                    {"c.empty", {"F32", {0, 2}, nullptr, 0}}},
                   {{"format", "pt"}});
}

}  // namespace
}  // namespace flame
