#include "base/files/hdf5.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

template <class T>
std::vector<T> Extremes() {
  return {std::numeric_limits<T>::lowest(), T(-1), T(0), T(1), std::numeric_limits<T>::max()};
}

template <class T>
class Hdf5Numbers : public testing::Test {};
using NumberTypes = testing::Types<int8_t, int16_t, int32_t, int64_t, float, double>;
TYPED_TEST_SUITE(Hdf5Numbers, NumberTypes);

TYPED_TEST(Hdf5Numbers, ExtremesAndEmpty_ComeBackEqual) {
  const TemporaryFolder folder;
  const std::vector<TypeParam> values = Extremes<TypeParam>();
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  out.Write("group/sub/values", values);
  out.Write("group/none", std::vector<TypeParam>());
  out.WriteMatrix("empty_rows", std::vector<TypeParam>(), 0, 3);
  out.Close();
  const Hdf5File in = Hdf5File::OpenForReading(folder / "x.h5");
  EXPECT_EQ(in.Read<TypeParam>("group/sub/values"), values);
  EXPECT_EQ(in.Read<TypeParam>("group/none"), std::vector<TypeParam>());
  EXPECT_EQ(in.Shape("group/none"), (std::vector<int64_t>{0}));
  EXPECT_EQ(in.Shape("empty_rows"), (std::vector<int64_t>{0, 3}));
}

TEST(Hdf5File, Texts_ComeBackEqual) {
  const TemporaryFolder folder;
  const std::vector<std::string> texts = {"", "acétaminophène", std::string(100000, 'x'), "β"};
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  out.Write("texts", texts);
  out.Write("none", std::vector<std::string>());
  out.Close();
  const Hdf5File in = Hdf5File::OpenForReading(folder / "x.h5");
  EXPECT_EQ(in.Read<std::string>("texts"), texts);
  EXPECT_TRUE(in.Read<std::string>("none").empty());
}

TEST(Hdf5File, MatrixOfSeveralChunks_ComesBackEqual) {
  const TemporaryFolder folder;
  std::vector<float> values(1000 * 1500);
  std::iota(values.begin(), values.end(), 0.0f);
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  out.WriteMatrix("m", values, 1000, 1500);
  out.Close();
  const Hdf5File in = Hdf5File::OpenForReading(folder / "x.h5");
  EXPECT_EQ(in.Shape("m"), (std::vector<int64_t>{1000, 1500}));
  EXPECT_EQ(in.Read<float>("m"), values);
}

TEST(Hdf5File, MatrixOfOtherSize_DataError) {
  const TemporaryFolder folder;
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  EXPECT_THROW(out.WriteMatrix("m", std::vector<float>(5), 2, 3), DataError);
}

TEST(Hdf5File, Attributes_ComeBackAndTheLastCounts) {
  const TemporaryFolder folder;
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  out.SetAttribute("schema", int64_t{1});
  out.SetAttribute("schema", int64_t{-5000000000});
  out.SetAttribute("empty", std::string());
  out.SetAttribute("hospital", std::string("synth"));
  out.Close();
  const Hdf5File in = Hdf5File::OpenForReading(folder / "x.h5");
  EXPECT_EQ(in.IntAttribute("schema"), -5000000000);
  EXPECT_EQ(in.StringAttribute("empty"), "");
  EXPECT_EQ(in.StringAttribute("hospital"), "synth");
  EXPECT_THAT([&] { in.IntAttribute("hospital"); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("x.h5"), HasSubstr("'hospital'"))));
  EXPECT_THROW(in.StringAttribute("schema"), DataError);
  EXPECT_THROW(in.StringAttribute("absent"), DataError);
}

TEST(Hdf5File, Has_KnowsNestedNames) {
  const TemporaryFolder folder;
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  out.Write("visits/age", std::vector<int32_t>{3});
  EXPECT_TRUE(out.Has("visits"));
  EXPECT_TRUE(out.Has("visits/age"));
  EXPECT_TRUE(out.Has("/visits/age"));
  EXPECT_FALSE(out.Has("visits/weight"));
  EXPECT_FALSE(out.Has("labs/age"));
}

TEST(Hdf5File, OtherElementType_DataErrorSaysBoth) {
  const TemporaryFolder folder;
  Hdf5File file = Hdf5File::Create(folder / "x.h5");
  file.Write("wide", std::vector<int64_t>{int64_t{1} << 40});
  file.Write("text", std::vector<std::string>{"a"});
  file.Write("real", std::vector<double>{0.5});
  EXPECT_THAT([&] { file.Read<int32_t>("wide"); },
              ThrowsMessage<DataError>(
                  AllOf(HasSubstr("'wide'"), HasSubstr("fit 32 bits"), HasSubstr("found 64-bit"))));
  EXPECT_THAT([&] { file.Read<int32_t>("text"); },
              ThrowsMessage<DataError>(HasSubstr("expected integer elements, found text")));
  EXPECT_THAT([&] { file.Read<int32_t>("real"); },
              ThrowsMessage<DataError>(HasSubstr("found floating-point")));
  EXPECT_THAT([&] { file.Read<std::string>("real"); },
              ThrowsMessage<DataError>(HasSubstr("expected text")));
  EXPECT_EQ(file.Read<float>("real"), std::vector<float>{0.5f});
}

TEST(Hdf5File, AbsentThings_DataErrorNamesThem) {
  const TemporaryFolder folder;
  EXPECT_THAT([&] { Hdf5File::OpenForReading(folder / "absent.h5"); },
              ThrowsMessage<DataError>(
                  AllOf(HasSubstr("absent.h5"), HasSubstr("No such file or directory"))));
  WriteFileAtomically(folder / "text.h5", "not HDF5 at all");
  EXPECT_THAT([&] { Hdf5File::OpenForReading(folder / "text.h5"); },
              ThrowsMessage<DataError>(HasSubstr("text.h5")));
  const Hdf5File file = Hdf5File::Create(folder / "x.h5");
  EXPECT_THAT([&] { file.Read<float>("phi"); }, ThrowsMessage<DataError>(HasSubstr("'phi'")));
  EXPECT_THAT([&] { file.Shape("phi"); }, ThrowsMessage<DataError>(HasSubstr("'phi'")));
}

// Writes a file of one dataset whose bytes a test can find in the file.
fs::path PatternFile(const TemporaryFolder& folder) {
  Hdf5File out = Hdf5File::Create(folder / "x.h5");
  out.Write("values", std::vector<int8_t>(4096, 'Q'));
  out.Close();
  return folder / "x.h5";
}

TEST(Hdf5File, FlippedByte_FoundAtReading) {
  const TemporaryFolder folder;
  const fs::path path = PatternFile(folder);
  std::string bytes = ReadWholeFile(path);
  const size_t data = bytes.find(std::string(4096, 'Q'));
  ASSERT_NE(data, std::string::npos);
  bytes[data + 2000] ^= 4;
  WriteFileAtomically(path, bytes);
  const Hdf5File in = Hdf5File::OpenForReading(path);
  EXPECT_THAT([&] { in.Read<int8_t>("values"); },
              ThrowsMessage<DataError>(
                  AllOf(HasSubstr("x.h5"), HasSubstr("'values'"), HasSubstr("Fletcher32"))));
}

TEST(Hdf5File, TruncatedFile_FoundAtOpening) {
  const TemporaryFolder folder;
  const fs::path path = PatternFile(folder);
  fs::resize_file(path, fs::file_size(path) - 1);
  EXPECT_THAT([&] { Hdf5File::OpenForReading(path); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("x.h5"), HasSubstr("truncated"))));
}

TEST(Hdf5File, DiskFull_MachineErrorSaysSo) {
  const SmallDisk disk;
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const auto write = [&] {
    Hdf5File out = Hdf5File::Create(disk.path() / "x.h5");
    out.Write("values", std::vector<double>(1 << 20, 1.5));
    out.Close();
  };
  EXPECT_THAT(write, ThrowsMessage<MachineError>(
                         AllOf(HasSubstr("x.h5"), HasSubstr("No space left on device"))));
  // The library still works afterwards.
  const TemporaryFolder folder;
  PatternFile(folder);
  EXPECT_EQ(Hdf5File::OpenForReading(folder / "x.h5").Read<int8_t>("values").size(), 4096u);
}

TEST(Hdf5File, DiskFullAtClosing_MachineErrorSaysSo) {
  const SmallDisk disk;
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  Hdf5File out = Hdf5File::Create(disk.path() / "x.h5");
  std::ofstream(disk.path() / "filler") << std::string(2 << 20, 'x');
  // Small metadata stays in the library's cache until the file is closed.
  for (int i = 0; i < 100; ++i) out.SetAttribute("attribute" + std::to_string(i), int64_t{i});
  EXPECT_THAT([&] { out.Close(); }, ThrowsMessage<MachineError>(HasSubstr("No space left")));
}

// Keeps every file of this process from growing beyond `bytes` during its lifetime.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : before_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit lower = {bytes, limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    signal(SIGXFSZ, before_);
  }

 private:
  rlimit limit_ = {};
  void (*before_)(int);
};

// The disk is full during one write, as if another process freed space right after it.
TEST(Hdf5File, OneWriteRefused_NothingHalfWrittenPassesForWhole) {
  const TemporaryFolder folder;
  std::vector<int32_t> numbers(3000);
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::vector<std::string> texts(200, "a text of some length");
  const auto write = [&](const fs::path& path, int refused, rlim_t limit) {
    Hdf5File file = Hdf5File::Create(path);
    const std::vector<std::function<void()>> parts = {[&] { file.Write("a/numbers", numbers); },
                                                      [&] { file.Write("texts", texts); },
                                                      [&] { file.Write("b/numbers", numbers); }};
    for (int part = 0; part < 3; ++part) {
      std::optional<FileSizeLimit> limited;
      if (part == refused) limited.emplace(limit);
      parts[part]();
    }
    file.Close();
  };
  write(folder / "whole.h5", -1, 0);
  const auto size = fs::file_size(folder / "whole.h5");
  int refusals = 0;
  for (int refused = 0; refused < 3; ++refused) {
    for (rlim_t limit = 0; limit < size + 4096; limit += 999) {
      const fs::path path = folder / StrCat(refused, "-", limit, ".h5");
      try {
        write(path, refused, limit);
      } catch (const MachineError&) {
        ++refusals;
        continue;
      }
      const Hdf5File file = Hdf5File::OpenForReading(path);
      EXPECT_EQ(file.Read<int32_t>("a/numbers"), numbers) << path;
      EXPECT_EQ(file.Read<int32_t>("b/numbers"), numbers) << path;
      EXPECT_EQ(file.Read<std::string>("texts"), texts) << path;
    }
  }
  EXPECT_GT(refusals, 3);
}

TEST(Hdf5File, FolderAbsent_MachineError) {
  const TemporaryFolder folder;
  EXPECT_THROW(Hdf5File::Create(folder / "absent/x.h5"), MachineError);
}

TEST(Hdf5File, Failure_PrintsNothing) {
  const TemporaryFolder folder;
  testing::internal::CaptureStderr();
  EXPECT_THROW(Hdf5File::OpenForReading(folder / "absent.h5"), DataError);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Hdf5File, Moved_OldOneClosesNothing) {
  const TemporaryFolder folder;
  Hdf5File first = Hdf5File::Create(folder / "x.h5");
  {
    Hdf5File second = std::move(first);
    second.Write("a", std::vector<float>{1});
    first = std::move(second);
  }
  first.Write("b", std::vector<float>{2});
  first.Close();
  EXPECT_EQ(Hdf5File::OpenForReading(folder / "x.h5").Read<float>("b"), std::vector<float>{2});
}

}  // namespace
}  // namespace flame
