#include "base/files/npy.h"

#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// The header is the text of a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape':
// (3, 4), }.
class Header {
 public:
  Header(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  // Returns the text behind 'KEY': up to one of `ends`.
  std::string_view Value(const std::string& key, const char* ends) const {
    const size_t at = text_.find("'" + key + "':");
    if (at == std::string_view::npos) Fail(StrCat("a header with '", key, "'"));
    std::string_view value = text_.substr(at + key.size() + 3);
    while (value.starts_with(' ')) value.remove_prefix(1);
    return value.substr(0, value.find_first_of(ends));
  }

  std::vector<int64_t> Shape() const {
    std::string_view text = Value("shape", ")");
    if (!text.starts_with('(')) Fail("a shape in parentheses");
    text.remove_prefix(1);
    std::vector<int64_t> shape;
    int64_t count = 1;
    while (!text.empty()) {
      const std::string_view word = text.substr(0, text.find(','));
      text.remove_prefix(std::min(word.size() + 1, text.size()));
      if (word.find_first_not_of(' ') == std::string_view::npos) continue;
      int64_t size = 0;
      for (const char c : word) {
        if (c == ' ') continue;
        if (c < '0' || c > '9' || size > INT32_MAX) Fail("a shape of numbers");
        size = 10 * size + (c - '0');
      }
      shape.push_back(size);
      if (size > 0 && count > INT32_MAX / size) Fail("at most 2^31 values");
      count *= size;
    }
    return shape;
  }

  [[noreturn]] void Fail(const std::string& expected) const {
    throw DataError(name_, ": cannot be read as a numpy array; expected ", expected, ", found '",
                    text_.substr(0, 120), "'");
  }

 private:
  std::string_view text_;
  std::string name_;
};

template <class T>
T PodAt(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

NpyArray ReadNpy(const std::filesystem::path& file) {
  const std::string bytes = ReadWholeFile(file);
  if (bytes.size() < 12 || !std::string_view(bytes).starts_with(kMagic)) {
    throw DataError(file.string(), ": is no numpy array; expected a file of numpy.save");
  }
  const bool first_version = bytes[6] == 1;
  const size_t begin = first_version ? 10 : 12;
  const size_t size = first_version ? PodAt<uint16_t>(bytes, 8) : PodAt<uint32_t>(bytes, 8);
  if (begin + size > bytes.size()) throw DataError(file.string(), ": is cut short in its header");
  const Header header(std::string_view(bytes).substr(begin, size), file.string());
  const std::string_view type = header.Value("descr", ",");
  if (type != "'<f4'" && type != "'<f8'") header.Fail("'<f4' or '<f8'");
  if (header.Value("fortran_order", ",}") != "False") header.Fail("rows one after the other");
  NpyArray array;
  array.shape = header.Shape();
  int64_t count = 1;
  for (const int64_t extent : array.shape) count *= extent;
  const size_t item = type == "'<f4'" ? 4 : 8, data = begin + size;
  if (bytes.size() - data != static_cast<size_t>(count) * item) {
    throw DataError(file.string(), ": has ", bytes.size() - data, " bytes of values; expected ",
                    static_cast<size_t>(count) * item);
  }
  for (int64_t i = 0; i < count; ++i) {
    const size_t at = data + static_cast<size_t>(i) * item;
    array.values.push_back(item == 4 ? PodAt<float>(bytes, at)
                                     : static_cast<float>(PodAt<double>(bytes, at)));
  }
  return array;
}

}  // namespace flame
