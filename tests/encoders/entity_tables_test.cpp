#include "encoders/entity_tables.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/files/hdf5.h"
#include "base/files/safetensors.h"
#include "tests/base/fresh_folder.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::vector<std::string> kIds = {"4019", "ICD10:I509", "25000"};

at::Tensor Rows(int64_t rows) { return at::arange(rows * 2, at::kFloat).view({rows, 2}); }

void WriteText(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string NpyBytes(const std::string& header, const void* data, size_t size) {
  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\0';
  bytes += static_cast<char>(header.size() % 256);
  bytes += static_cast<char>(header.size() / 256);
  return bytes + header + std::string(static_cast<const char*>(data), size);
}

std::string FloatsAsNpy(const at::Tensor& vectors) {
  return NpyBytes(StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (", vectors.size(0),
                         ", ", vectors.size(1), "), }\n"),
                  vectors.const_data_ptr(), vectors.nbytes());
}

template <class Failure, class Body>
std::string MessageOf(const Body& body) {
  try {
    body();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "nothing was thrown";
}

class EntityTablesTest : public testing::Test {
 protected:
  const fs::path folder_ = FreshFolder();
  std::string FailureOf(const fs::path& file) const {
    return MessageOf<DataError>([&] { ReadVectors(file, "diagnosis", kIds); });
  }
};

TEST_F(EntityTablesTest, Entities_AreReadAsWritten) {
  const fs::path file = folder_ / "entities.h5";
  WriteEntities({{"diagnosis", {kIds, Rows(3)}}, {"visit", {{"142345"}, Rows(1)}}}, file);
  const EntityTables tables = ReadEntities(file);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables.at("diagnosis").ids, kIds);
  EXPECT_TRUE(tables.at("diagnosis").vectors.equal(Rows(3)));
  EXPECT_TRUE(tables.at("visit").vectors.equal(Rows(1)));
  EXPECT_TRUE(ReadVectors(file, "diagnosis", {"25000", "4019"})
                  .equal(Rows(3).index_select(0, at::arange(2, -1, -2, at::kLong))));
}

TEST_F(EntityTablesTest, FlippedByte_IsRefused) {
  const fs::path file = folder_ / "entities.h5";
  WriteEntities({{"diagnosis", {kIds, Rows(3)}}}, file);
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(1000);
  bytes.put('\x7f');
  bytes.close();
  EXPECT_THROW(ReadEntities(file), DataError);
  EXPECT_THAT(FailureOf(file), HasSubstr("entities.h5"));
}

TEST_F(EntityTablesTest, OtherPeoplesHdf5_NeedsNoSeal) {
  const fs::path file = folder_ / "theirs.h5";
  Hdf5File theirs = Hdf5File::Create(file);
  theirs.Write("diagnosis/ids", kIds);
  theirs.WriteMatrix<float>("diagnosis/vectors", {0, 1, 2, 3, 4, 5}, 3, 2);
  theirs.Close();
  EXPECT_TRUE(ReadVectors(file, "diagnosis", kIds).equal(Rows(3)));
  EXPECT_THAT(MessageOf<DataError>([&] { ReadVectors(file, "drug", kIds); }),
              HasSubstr("no dataset 'drug/ids'"));
}

TEST_F(EntityTablesTest, Npy_InTheCorpussOrderOrById) {
  const fs::path file = folder_ / "table.npy";
  WriteText(file, FloatsAsNpy(Rows(3)));
  EXPECT_TRUE(ReadVectors(file, "diagnosis", kIds).equal(Rows(3)));
  WriteText(folder_ / "table.ids.txt", "25000\r\nunused\n4019\n");
  EXPECT_TRUE(ReadVectors(file, "diagnosis", {"4019", "25000"})
                  .equal(Rows(3).index_select(0, at::arange(2, -1, -2, at::kLong))));
}

TEST_F(EntityTablesTest, NpyOfDoubles_IsConverted) {
  const at::Tensor doubles = Rows(3).to(at::kDouble);
  WriteText(folder_ / "table.npy",
            NpyBytes("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }",
                     doubles.const_data_ptr(), doubles.nbytes()));
  EXPECT_TRUE(ReadVectors(folder_ / "table.npy", "diagnosis", kIds).equal(Rows(3)));
}

TEST_F(EntityTablesTest, Safetensors_HasEmbeddings) {
  const at::Tensor vectors = Rows(3);
  const fs::path file = folder_ / "table.safetensors";
  const auto write = [&](const char* name) {
    WriteSafetensors(file, {{name, {"F32", {3, 2}, vectors.const_data_ptr(), vectors.nbytes()}}});
  };
  write("embeddings");
  EXPECT_TRUE(ReadVectors(file, "diagnosis", kIds).equal(vectors));
  write("weights");
  EXPECT_THAT(FailureOf(file), HasSubstr("'embeddings'"));
}

TEST_F(EntityTablesTest, IdsAndRows_AreChecked) {
  const fs::path file = folder_ / "table.npy";
  WriteText(file, FloatsAsNpy(Rows(2)));
  EXPECT_THAT(FailureOf(file), HasSubstr("has 2 rows; expected 3"));
  WriteText(folder_ / "table.ids.txt", "4019\n25000\n");
  EXPECT_THAT(FailureOf(file), HasSubstr("1 of the 3 entities of kind diagnosis, such as "
                                         "'ICD10:I509'"));
  WriteText(folder_ / "table.ids.txt", "4019\n4019\n");
  EXPECT_THAT(FailureOf(file), HasSubstr("'4019' is given twice"));
  WriteText(folder_ / "table.ids.txt", "4019\n");
  EXPECT_THAT(FailureOf(file), HasSubstr("has 2 rows; expected 1"));
}

TEST_F(EntityTablesTest, ValueThatIsNoNumber_IsRefused) {
  at::Tensor vectors = Rows(3);
  vectors[1][1] = std::numeric_limits<float>::quiet_NaN();
  WriteText(folder_ / "table.npy", FloatsAsNpy(vectors));
  EXPECT_THAT(FailureOf(folder_ / "table.npy"), HasSubstr("no finite number"));
}

TEST_F(EntityTablesTest, NoIdsAndNoNumbers_AreRefused) {
  WriteText(folder_ / "rows.npy", FloatsAsNpy(Rows(3)));
  WriteText(folder_ / "rows.ids.txt", "");
  EXPECT_THAT(FailureOf(folder_ / "rows.npy"), HasSubstr("rows.ids.txt: no id"));
  WriteText(folder_ / "flat.npy", FloatsAsNpy(Rows(3).narrow(1, 0, 0)));
  EXPECT_THAT(FailureOf(folder_ / "flat.npy"), HasSubstr("its rows have no numbers"));
  Hdf5File file = Hdf5File::Create(folder_ / "empty.h5");
  file.Write("diagnosis/ids", std::vector<std::string>());
  file.WriteMatrix("diagnosis/vectors", std::vector<float>(6), 3, 2);
  file.Close();
  EXPECT_THAT(FailureOf(folder_ / "empty.h5"), HasSubstr("'diagnosis/ids' is empty"));
}

TEST_F(EntityTablesTest, DivergedVectors_AreNotWritten) {
  at::Tensor vectors = Rows(3);
  vectors[1][0] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(MessageOf<DataError>([&] {
                WriteEntities({{"drug", {kIds, vectors}}}, folder_ / "entities.h5");
              }),
              HasSubstr("a vector of kind drug has a value that is no finite number"));
  EXPECT_FALSE(fs::exists(folder_ / "entities.h5"));
}

TEST_F(EntityTablesTest, OtherFiles_AreRefused) {
  const fs::path file = folder_ / "table.npy";
  const at::Tensor vectors = Rows(3);
  const auto found = [&](const std::string& header, size_t size) {
    WriteText(file, NpyBytes(header, vectors.const_data_ptr(), size));
    return FailureOf(file);
  };
  EXPECT_THAT(found("{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }", 24),
              HasSubstr("expected '<f4' or '<f8'"));
  EXPECT_THAT(found("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }", 24),
              HasSubstr("rows one after the other"));
  EXPECT_THAT(found("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }", 20),
              HasSubstr("has 20 bytes of values; expected 24"));
  EXPECT_THAT(found("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 24),
              HasSubstr("1 dimensions"));
  EXPECT_THAT(found("{'descr': '<f4', 'shape': (3, 2), }", 24), HasSubstr("'fortran_order'"));
  EXPECT_THAT(
      found("{'descr': '<f4', 'fortran_order': False, 'shape': (99999, 99999, 99999), }", 24),
      HasSubstr("at most 2^31"));
  WriteText(file, "\x80\x04pickle, not an array");
  EXPECT_THAT(FailureOf(file), HasSubstr("is no numpy array"));
  WriteText(folder_ / "table.pkl", "x");
  EXPECT_THAT(FailureOf(folder_ / "table.pkl"), HasSubstr(".safetensors, .npy or .h5"));
}

}  // namespace
}  // namespace flame
