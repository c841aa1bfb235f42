#include "encoders/entity_tables.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/hdf5.h"
#include "base/files/npy.h"
#include "base/files/safetensors.h"
#include "base/files/seal.h"
#include "data/ragged.h"
#include "encoders/long_tensor.h"
#include "model/options.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr char kSchema[] = "flame-entities 1";
const std::vector<std::string> kKinds = {"visit", "diagnosis", "procedure", "drug"};

at::Tensor Matrix(const std::vector<float>& values, int64_t rows, int64_t columns) {
  at::Tensor matrix = at::empty({rows, columns}, at::kFloat);
  std::copy(values.begin(), values.end(), matrix.mutable_data_ptr<float>());
  return matrix;
}

EntityTable ReadTable(const Hdf5File& file, const std::string& kind, const std::string& where) {
  const std::string vectors = kind + "/vectors", ids = kind + "/ids";
  for (const std::string& name : {ids, vectors}) {
    if (!file.Has(name)) throw DataError(where, ": no dataset '", name, "'");
  }
  const std::vector<int64_t> shape = file.Shape(vectors);
  if (shape.size() != 2) {
    throw DataError(where, ": '", vectors, "' has ", shape.size(), " dimensions; expected 2");
  }
  EntityTable table = {file.Read<std::string>(ids),
                       Matrix(file.Read<float>(vectors), shape[0], shape[1])};
  if (table.ids.empty() && shape[0] > 0) {
    throw DataError(where, ": '", ids, "' is empty; expected an id for each of ", shape[0],
                    " rows");
  }
  return table;
}

// The lines of NAME.ids.txt beside the file; none if there is no such file.
std::vector<std::string> IdsBeside(const fs::path& file) {
  const fs::path path = IdsFile(file);
  if (!fs::exists(path)) return {};
  std::istringstream lines(ReadWholeFile(path));
  std::vector<std::string> ids;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    ids.push_back(line);
  }
  if (ids.empty()) throw DataError(path.string(), ": no id; expected one a line for each row");
  return ids;
}

EntityTable ReadSafetensors(const fs::path& path) {
  const SafetensorsFile file(path);
  const auto found = file.tensors().find("embeddings");
  if (found == file.tensors().end() || found->second.dtype != "F32" ||
      found->second.shape.size() != 2) {
    throw DataError(path.string(), ": expected a float32 tensor 'embeddings' [entities, dim]");
  }
  return {IdsBeside(path),
          at::from_blob(const_cast<void*>(found->second.data), found->second.shape, at::kFloat)
              .clone()};
}

EntityTable ReadNpyTable(const fs::path& path) {
  const NpyArray array = ReadNpy(path);
  if (array.shape.size() != 2) {
    throw DataError(path.string(), ": the array has ", array.shape.size(),
                    " dimensions; expected [entities, dim]");
  }
  return {IdsBeside(path), Matrix(array.values, array.shape[0], array.shape[1])};
}

EntityTable ReadHdf5(const fs::path& path, const std::string& kind) {
  const std::string bytes = ReadWholeFile(path);
  if (bytes.find("\nsha256 ", bytes.size() < 73 ? 0 : bytes.size() - 73) != std::string::npos) {
    CheckSeal(bytes, path.string());
  }
  return ReadTable(Hdf5File::OpenBytes(bytes, path.string()), kind, path.string());
}

EntityTable ReadAny(const fs::path& path, const std::string& kind) {
  const std::string ending = path.extension().string();
  if (ending == ".safetensors") return ReadSafetensors(path);
  if (ending == ".npy") return ReadNpyTable(path);
  if (ending == ".h5" || ending == ".hdf5") return ReadHdf5(path, kind);
  throw DataError(path.string(), ": expected a name that ends in .safetensors, .npy or .h5");
}

// Returns the row of each id.
at::Tensor RowsOf(const EntityTable& table, const std::vector<std::string>& ids,
                  const std::string& kind, const std::string& where) {
  std::unordered_map<std::string, int64_t> rows;
  for (size_t i = 0; i < table.ids.size(); ++i) {
    if (rows.emplace(table.ids[i], i).second) continue;
    throw DataError(where, ": the id '", table.ids[i], "' is given twice; expected one row each");
  }
  std::vector<int64_t> found;
  int64_t missing = 0;
  std::string first;
  for (const std::string& id : ids) {
    const auto row = rows.find(id);
    if (row == rows.end() && ++missing == 1) first = id;
    if (row != rows.end()) found.push_back(row->second);
  }
  if (missing > 0) {
    throw DataError(where, ": no vector for ", missing, " of the ", ids.size(),
                    " entities of kind ", kind, ", such as '", first,
                    "'; expected one for each of the corpus");
  }
  return LongTensor(found);
}

}  // namespace

void WriteEntities(const EntityTables& tables, const fs::path& path) {
  AtomicPath atomic(path, AtomicPath::Kind::kFile);
  Hdf5File file = Hdf5File::Create(atomic.temporary());
  file.SetAttribute("schema", kSchema);
  for (const auto& [kind, table] : tables) {
    if (!at::isfinite(table.vectors).all().item<bool>()) {
      throw DataError(
          path.string(), ": a vector of kind ", kind,
          " has a value that is no finite number; the training of its encoder diverged");
    }
    file.Write(kind + "/ids", table.ids);
    const at::Tensor vectors = table.vectors.contiguous();
    const float* begin = vectors.const_data_ptr<float>();
    file.WriteMatrix(kind + "/vectors", std::vector<float>(begin, begin + vectors.numel()),
                     vectors.size(0), vectors.size(1));
  }
  file.Close();
  SealFile(atomic.temporary());
  atomic.Commit();
}

bool IsEntities(const fs::path& path) {
  return Hdf5File::OpenForReading(path).StringAttribute("schema") == kSchema;
}

EntityTables ReadEntities(const fs::path& path) {
  CheckSeal(path);
  const Hdf5File file = Hdf5File::OpenForReading(path);
  CheckSchema(file, kSchema, path.string());
  EntityTables tables;
  for (const std::string& kind : kKinds) {
    if (file.Has(kind + "/ids")) tables[kind] = ReadTable(file, kind, path.string());
  }
  return tables;
}

at::Tensor ReadVectors(const fs::path& file, const std::string& kind,
                       const std::vector<std::string>& ids) {
  const EntityTable table = ReadAny(file, kind);
  const auto count = static_cast<int64_t>(table.ids.empty() ? ids.size() : table.ids.size());
  if (table.vectors.size(0) != count) {
    throw DataError(file.string(), ": has ", table.vectors.size(0), " rows; expected ", count,
                    table.ids.empty() ? ", one for each " + kind + " of the corpus, in its order"
                                      : ", one for each of its ids");
  }
  if (table.vectors.size(1) == 0) {
    throw DataError(file.string(), ": its rows have no numbers; expected at least one");
  }
  if (!at::isfinite(table.vectors).all().item<bool>()) {
    throw DataError(file.string(), ": a value is no finite number");
  }
  if (table.ids.empty()) return table.vectors;
  return table.vectors.index_select(0, RowsOf(table, ids, kind, file.string()));
}

}  // namespace flame
