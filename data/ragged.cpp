#include "data/ragged.h"

#include "base/error.h"

namespace flame {

void WriteRagged(Hdf5File* file, const std::string& name,
                 const std::vector<std::vector<int32_t>>& lists) {
  std::vector<int32_t> values;
  std::vector<int64_t> offsets = {0};
  for (const std::vector<int32_t>& list : lists) {
    values.insert(values.end(), list.begin(), list.end());
    offsets.push_back(static_cast<int64_t>(values.size()));
  }
  file->Write(name, values);
  file->Write(name + "_offsets", offsets);
}

std::vector<std::vector<int32_t>> ReadRagged(const Hdf5File& file, const std::string& name,
                                             size_t num_lists, int32_t limit,
                                             const std::string& where) {
  const std::vector<int32_t> values = file.Read<int32_t>(name);
  const std::vector<int64_t> offsets =
      ReadSized<int64_t>(file, name + "_offsets", num_lists + 1, where);
  if (offsets.front() != 0 || offsets.back() != static_cast<int64_t>(values.size())) {
    throw DataError(where, ": ", name, "_offsets run from ", offsets.front(), " to ",
                    offsets.back(), "; expected 0 to ", values.size());
  }
  std::vector<std::vector<int32_t>> lists(num_lists);
  for (size_t i = 0; i < num_lists; ++i) {
    if (offsets[i] > offsets[i + 1] || offsets[i + 1] > offsets.back()) {
      throw DataError(where, ": ", name, "_offsets[", i + 1, "] is ", offsets[i + 1],
                      "; expected a number in ", offsets[i], "..", offsets.back());
    }
    lists[i].assign(values.begin() + offsets[i], values.begin() + offsets[i + 1]);
    for (int32_t value : lists[i]) {
      if (value < 0 || value >= limit) {
        throw DataError(where, ": ", name, " of row ", i, " holds index ", value, "; expected 0..",
                        limit - 1);
      }
    }
  }
  return lists;
}

template <class T>
std::vector<T> ReadSized(const Hdf5File& file, const std::string& name, size_t size,
                         const std::string& where) {
  std::vector<T> values = file.Read<T>(name);
  if (values.size() != size) {
    throw DataError(where, ": ", name, " has ", values.size(), " values; expected ", size);
  }
  return values;
}

template std::vector<int8_t> ReadSized(const Hdf5File&, const std::string&, size_t,
                                       const std::string&);
template std::vector<int32_t> ReadSized(const Hdf5File&, const std::string&, size_t,
                                        const std::string&);
template std::vector<int64_t> ReadSized(const Hdf5File&, const std::string&, size_t,
                                        const std::string&);
template std::vector<float> ReadSized(const Hdf5File&, const std::string&, size_t,
                                      const std::string&);
template std::vector<std::string> ReadSized(const Hdf5File&, const std::string&, size_t,
                                            const std::string&);

void CheckSchema(const Hdf5File& file, const std::string& expected, const std::string& where) {
  const std::string found = file.StringAttribute("schema");
  if (found != expected) {
    throw DataError(where, ": schema is '", found, "'; this program reads '", expected, "'");
  }
}

}  // namespace flame
