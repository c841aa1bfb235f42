#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "rollout/trajectory.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Returns the worked example of reward/verdict.h, a cut completion and one of end-of-text alone.
std::vector<Group> TwoGroups() {
  Group first{(int64_t{1} << 40) + 17, 5, 3, {1, 2, 3}, {}};
  Trajectory member;
  member.tokens = {40, 41, 42, 41, 0};
  member.logprobs = {-0.5f, -0.25f, -1.5f, -0.125f, -2};
  member.verdict.phi = {0.5f, 1, 0.75f};
  member.verdict.phi_jaccard = {0.5f, 1, 1};
  member.verdict.phi_ddi = {0, 0, 0};
  member.verdict.phi_refusal = {0, 0, 0.5f};
  member.verdict.state = {7, -8, -8};
  member.verdict.step_of_token = {1, 1, 2, 2, -1};
  member.verdict.reward = 0.25f;
  member.verdict.final_list = {1, 9};
  member.verdict.num_lines = 2;
  member.verdict.num_refused = 1;
  first.members.push_back(member);
  member.tokens = {40, 43};
  member.logprobs = {-0.75f, -3};
  member.verdict.step_of_token = {1, 1};
  member.verdict.phi = member.verdict.phi_jaccard = {0.5f, 0.5f};
  member.verdict.phi_ddi = member.verdict.phi_refusal = {0.25f, 0};
  member.verdict.state = {1, 2};
  member.verdict.final_list = {};
  first.members.push_back(member);
  Group second{18, 6, 3, {4}, {}};
  Trajectory nothing;
  nothing.tokens = {0};
  nothing.logprobs = {-0.0625f};
  nothing.verdict.step_of_token = {-1};
  nothing.verdict.phi = nothing.verdict.phi_jaccard = {0.5f};
  nothing.verdict.phi_ddi = nothing.verdict.phi_refusal = {0};
  nothing.verdict.state = {0};
  nothing.verdict.final_list = {1};
  second.members.push_back(nothing);
  return {first, second};
}

const ShardInfo kInfo = {7, 12, 3, std::string(64, 'a')};

bool Equal(const Trajectory& a, const Trajectory& b) {
  const Verdict &x = a.verdict, &y = b.verdict;
  return a.tokens == b.tokens && a.logprobs == b.logprobs && x.phi == y.phi &&
         x.phi_jaccard == y.phi_jaccard && x.phi_ddi == y.phi_ddi &&
         x.phi_refusal == y.phi_refusal && x.state == y.state &&
         x.step_of_token == y.step_of_token && x.reward == y.reward &&
         x.final_list == y.final_list && x.num_lines == y.num_lines &&
         x.num_refused == y.num_refused;
}

bool Equal(const std::vector<Group>& a, const std::vector<Group>& b) {
  if (a.size() != b.size()) return false;
  for (size_t g = 0; g < a.size(); ++g) {
    if (a[g].task_id != b[g].task_id || a[g].task != b[g].task || a[g].prompt != b[g].prompt ||
        a[g].policy_version != b[g].policy_version || a[g].members.size() != b[g].members.size()) {
      return false;
    }
    for (size_t m = 0; m < a[g].members.size(); ++m) {
      if (!Equal(a[g].members[m], b[g].members[m])) return false;
    }
  }
  return true;
}

// Returns "" if the shard reads back as TwoGroups(), else the error; fails on any other result.
std::string ReadingFault(const std::filesystem::path& path) {
  try {
    ShardInfo info;
    const std::vector<Group> groups = ReadShard(path, &info);
    EXPECT_TRUE(Equal(groups, TwoGroups()) && info.seed == kInfo.seed && info.step == kInfo.step &&
                info.rank == kInfo.rank && info.config_sha256 == kInfo.config_sha256)
        << "damage went unseen";
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

class ShardTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteShard(TwoGroups(), kInfo, path_); }
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "step-000012-part-003.h5";
};

TEST_F(ShardTest, RoundTrip_RestoresEveryField) {
  ShardInfo info;
  EXPECT_TRUE(Equal(ReadShard(path_, &info), TwoGroups()));
  EXPECT_EQ(info.seed, 7);
  EXPECT_EQ(info.step, 12);
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.config_sha256, kInfo.config_sha256);
}

TEST_F(ShardTest, NoGroups_RoundTrip) {
  WriteShard({}, kInfo, path_);
  EXPECT_TRUE(ReadShard(path_).empty());
}

TEST_F(ShardTest, SameGroups_SameBytes) {
  WriteShard(TwoGroups(), kInfo, folder_ / "again.h5");
  EXPECT_EQ(ReadWholeFile(path_), ReadWholeFile(folder_ / "again.h5"));
}

TEST_F(ShardTest, FlippedByte_IsFound) {
  const std::string whole = ReadWholeFile(path_);
  const auto damaged = folder_ / "damaged.h5";
  // A prime stride hits data, attributes, HDF5's own structures and the seal.
  for (size_t at = 0; at < whole.size(); at += 211) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    std::ofstream(damaged, std::ios::binary) << bytes;
    ASSERT_THAT(ReadingFault(damaged), HasSubstr(damaged.string())) << "byte " << at;
  }
}

// Even under a new seal, HDF5's checksum of the data finds the damage.
TEST_F(ShardTest, FlippedTokenUnderANewSeal_NamesFileAndField) {
  const int32_t tokens[] = {40, 41, 42};
  std::string bytes = ReadWholeFile(path_);
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(tokens), sizeof(tokens)));
  ASSERT_NE(at, std::string::npos);
  bytes[at] ^= 1;
  std::ofstream(path_, std::ios::binary) << bytes;
  SealFile(path_);
  EXPECT_THAT(ReadingFault(path_), AllOf(HasSubstr(path_.string()), HasSubstr("tokens")));
}

TEST_F(ShardTest, Truncated_IsFound) {
  const std::string whole = ReadWholeFile(path_);
  const auto damaged = folder_ / "damaged.h5";
  for (size_t size : {size_t{0}, size_t{7}, whole.size() / 4, whole.size() / 2, whole.size() - 1}) {
    std::ofstream(damaged, std::ios::binary) << whole.substr(0, size);
    EXPECT_THAT(ReadingFault(damaged), HasSubstr(damaged.string())) << size;
  }
}

TEST_F(ShardTest, AbsentFile_IsADataError) {
  EXPECT_THROW(ReadShard(folder_ / "absent.h5"), DataError);
}

// Copies a shard's fields, but gives `field` other values.
template <class T>
void CopyBut(const std::filesystem::path& from, const std::string& field,
             const std::vector<T>& values, const std::filesystem::path& to) {
  const Hdf5File in = Hdf5File::OpenForReading(from);
  Hdf5File out = Hdf5File::Create(to);
  for (const char* name : {"schema", "config_sha256"}) {
    out.SetAttribute(name, in.StringAttribute(name));
  }
  for (const char* name : {"seed", "step", "rank"}) out.SetAttribute(name, in.IntAttribute(name));
  const auto copy = [&]<class U>(std::initializer_list<const char*> names, U) {
    for (const std::string name : names) {
      if (name != field) out.Write("trajectories/" + name, in.Read<U>("trajectories/" + name));
    }
  };
  copy({"tokens", "task", "group", "member", "final_list", "num_lines", "num_refused",
        "prompt_tokens"},
       int32_t{});
  copy({"logprobs", "phi", "phi_jaccard", "phi_ddi", "phi_refusal", "reward"}, float{});
  copy({"step_of_token"}, int16_t{});
  copy({"offsets", "step_offsets", "state", "task_id", "policy_version", "final_offsets",
        "prompt_offsets"},
       int64_t{});
  out.Write("trajectories/" + field, values);
  out.Close();
  SealFile(to);
}

TEST_F(ShardTest, FieldsThatContradictEachOther_AreFoundByName) {
  const auto damaged = folder_ / "damaged.h5";
  const auto expect_fault = [&](const std::string& field, const auto& values) {
    CopyBut(path_, field, values, damaged);
    EXPECT_THAT(ReadingFault(damaged),
                AllOf(HasSubstr(damaged.string()), HasSubstr("trajectories/" + field + " ")));
  };
  using Int64s = std::vector<int64_t>;
  using Int32s = std::vector<int32_t>;
  expect_fault("offsets", Int64s{0, 5, 7});          // a member is missing
  expect_fault("offsets", Int64s{1, 5, 7, 8});       // does not begin with 0
  expect_fault("offsets", Int64s{0, 7, 5, 8});       // falls
  expect_fault("offsets", Int64s{0, 5, 7, 9});       // beyond the tokens
  expect_fault("step_offsets", Int64s{0, 3, 6, 6});  // the last member has no phi
  expect_fault("final_offsets", Int64s{0, 2, 2, 4});
  expect_fault("prompt_offsets", Int64s{});
  expect_fault("prompt_offsets", Int64s{0, 3, 5});
  expect_fault("logprobs", std::vector<float>{-1});
  expect_fault("logprobs", std::vector<float>(8, NAN));
  expect_fault("phi_ddi", std::vector<float>{0});
  expect_fault("state", std::vector<int64_t>{0});
  expect_fault("step_of_token", std::vector<int16_t>{1, 1, 2, 3, -1, 1, 1, -1});  // only 2 steps
  expect_fault("step_of_token", std::vector<int16_t>{0, 1, 2, 2, -1, 1, 1, -1});
  expect_fault("group", Int32s{0, 0, 2});
  expect_fault("group", Int32s{0, 0, 0});  // second group has no members
  expect_fault("group", Int32s{1, 0, 1});
  expect_fault("member", Int32s{0, 2, 0});
  expect_fault("task_id", Int64s{1, 2, 3});
  expect_fault("task", Int32s{1, 2, 3});
  expect_fault("policy_version", Int64s{1, 2, 2});
  expect_fault("num_lines", Int32s{1});
}

TEST_F(ShardTest, CopyOfEveryField_IsAShard) {
  CopyBut(path_, "reward", std::vector<float>{0.25f, 0.25f, 0}, folder_ / "copy.h5");
  EXPECT_EQ(ReadingFault(folder_ / "copy.h5"), "");
}

TEST_F(ShardTest, AnotherSchema_IsRefused) {
  Hdf5File file = Hdf5File::Create(path_);
  file.SetAttribute("schema", std::string("flame.trajectories/0"));
  file.Close();
  SealFile(path_);
  EXPECT_THAT(ReadingFault(path_), HasSubstr("schema"));
}

// tests/peers/test_shard.py runs this test and reads the file with h5py.
TEST(PeerShard, Shard_IsWrittenForThem) {
  const char* folder = std::getenv("FLAME_TEST_PEER_FILES");
  if (folder == nullptr) GTEST_SKIP() << "tests/peers/test_shard.py runs this test";
  WriteShard(TwoGroups(), kInfo, std::filesystem::path(folder) / "shard.h5");
}

}  // namespace
}  // namespace flame
