#include "base/files/checksum.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

// Digests of the FIPS 180-4 examples and of the empty message of NIST's CAVP short messages.
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kTwoBlocks[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
constexpr char kMillionA[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, PublishedVectors_Equal) {
  EXPECT_EQ(Sha256(""), kEmpty);
  EXPECT_EQ(Sha256("abc"), kAbc);
  EXPECT_EQ(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), kTwoBlocks);
  EXPECT_EQ(Sha256(std::string(1000000, 'a')), kMillionA);
}

TEST(Sha256Stream, PartsOfAnySize_EqualTheWhole) {
  Sha256Stream stream;
  const std::string text(1000000, 'a');
  for (size_t at = 0, size = 1; at < text.size(); at += size, size = size * 3 % 1009) {
    stream.Update(text.data() + at, std::min(size, text.size() - at));
  }
  EXPECT_EQ(stream.Finish(), kMillionA);
}

TEST(Sha256OfFile, FileLongerThanABuffer_EqualsPublished) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "a", std::string(1000000, 'a'));
  WriteFileAtomically(folder / "empty", "");
  EXPECT_EQ(Sha256OfFile(folder / "a"), kMillionA);
  EXPECT_EQ(Sha256OfFile(folder / "empty"), kEmpty);
}

TEST(Sha256OfFile, AbsentOrFolder_DataError) {
  const TemporaryFolder folder;
  EXPECT_THROW(Sha256OfFile(folder / "absent"), DataError);
  EXPECT_THROW(Sha256OfFile(folder.path()), DataError);
}

}  // namespace
}  // namespace flame
