#include "base/files/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

int NumEntries(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), {}));
}

template <class Failure, class Action>
std::string MessageOf(Action action) {
  try {
    action();
  } catch (const Failure& error) {
    return error.what();
  }
  return "no error";
}

TEST(WriteFileAtomically, OldFile_Replaced) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "deep/er/file", "old text that is longer");
  WriteFileAtomically(folder / "deep/er/file", std::string("new\0text", 8));
  EXPECT_EQ(ReadWholeFile(folder / "deep/er/file"), std::string("new\0text", 8));
  EXPECT_EQ(NumEntries(folder / "deep/er"), 1);
}

TEST(WriteFileAtomically, FolderInTheWay_MachineErrorAndFolderKept) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "name/inside");
  const std::string message =
      MessageOf<MachineError>([&] { WriteFileAtomically(folder / "name", "text"); });
  EXPECT_THAT(message, AllOf(HasSubstr((folder / "name").string()), HasSubstr("directory")));
  EXPECT_TRUE(fs::exists(folder / "name/inside"));
  EXPECT_EQ(NumEntries(folder.path()), 1);
}

TEST(WriteFileAtomically, DiskFull_MachineErrorAndOldFileKept) {
  const SmallDisk disk;
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const fs::path path = disk.path() / "file";
  WriteFileAtomically(path, "old");
  const std::string message =
      MessageOf<MachineError>([&] { WriteFileAtomically(path, std::string(2 << 20, 'x')); });
  EXPECT_EQ(message, path.string() + ": cannot write: No space left on device");
  EXPECT_EQ(ReadWholeFile(path), "old");
  EXPECT_EQ(NumEntries(disk.path()), 1);
}

TEST(ReadWholeFile, AbsentOrFolder_DataErrorNamesPath) {
  const TemporaryFolder folder;
  EXPECT_THAT(MessageOf<DataError>([&] { ReadWholeFile(folder / "absent"); }),
              AllOf(HasSubstr((folder / "absent").string()), HasSubstr("No such file")));
  EXPECT_THAT(MessageOf<DataError>([&] { ReadWholeFile(folder.path()); }), HasSubstr("folder"));
}

TEST(AtomicPath, NeverCommitted_OldFileKeptAndNothingLeft) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "file", "old");
  {
    AtomicPath target(folder / "file", AtomicPath::Kind::kFile);
    std::ofstream(target.temporary()) << "half";
  }
  EXPECT_EQ(ReadWholeFile(folder / "file"), "old");
  EXPECT_EQ(NumEntries(folder.path()), 1);
}

TEST(AtomicPath, Folder_AppearsWholeAndReplacesOld) {
  const TemporaryFolder folder;
  for (const std::string text : {"first", "second"}) {
    AtomicPath target(folder / "step-7/", AtomicPath::Kind::kFolder);
    fs::create_directory(target.temporary() / "sub");
    std::ofstream(target.temporary() / "sub" / text) << text;
    EXPECT_FALSE(fs::exists(folder / "step-7/sub" / text));
    target.Commit();
    EXPECT_EQ(ReadWholeFile(folder / "step-7/sub" / text), text);
  }
  EXPECT_FALSE(fs::exists(folder / "step-7/sub/first"));
  EXPECT_EQ(NumEntries(folder.path()), 1);
}

TEST(AtomicPath, WriterKilled_OldFileKeptAndLeftoverRemovedByNextWriter) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "file", "old");
  const pid_t child = fork();
  if (child == 0) {
    AtomicPath target(folder / "file", AtomicPath::Kind::kFile);
    std::ofstream(target.temporary()) << "half" << std::flush;
    kill(getpid(), SIGKILL);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(NumEntries(folder.path()), 2);
  EXPECT_EQ(ReadWholeFile(folder / "file"), "old");
  WriteFileAtomically(folder / "file", "new");
  EXPECT_EQ(ReadWholeFile(folder / "file"), "new");
  EXPECT_EQ(NumEntries(folder.path()), 1);
}

TEST(AtomicPath, OtherWriterStillAlive_ItsFileIsLeftAlone) {
  const TemporaryFolder folder;
  AtomicPath slow(folder / "file", AtomicPath::Kind::kFile);
  std::ofstream(slow.temporary()) << "slow";
  WriteFileAtomically(folder / "file", "quick");
  slow.Commit();
  EXPECT_EQ(ReadWholeFile(folder / "file"), "slow");
}

}  // namespace
}  // namespace flame
