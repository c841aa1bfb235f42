// Writes and reads the bytes of a message, field by field. Plain values are as in memory
// (little-endian, as both ends run one program on one kind of machine). Vectors and texts are a
// uint64 count and their elements.
// Example:
//   WireWriter out;  out.Pod<int64_t>(task);  out.Vector(tokens);  out.Text(why);
//   comm.Send(out.Take(), 0, kGroupTag);
//   WireReader in(comm.Receive(rank, kGroupTag).bytes);
//   int64_t task = in.Pod<int64_t>();  auto tokens = in.Vector<int32_t>();  auto why = in.Text();
#ifndef FLAME_COMM_WIRE_H_
#define FLAME_COMM_WIRE_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"

namespace flame {

class WireWriter {
 public:
  template <class T>
  void Pod(T value) {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
    Append(&value, sizeof(T));
  }
  template <class T>
  void Vector(const std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>);
    Pod<uint64_t>(values.size());
    Append(values.data(), values.size() * sizeof(T));
  }
  void Text(const std::string& text) {
    Pod<uint64_t>(text.size());
    Append(text.data(), text.size());
  }
  // Appends the bytes without a count.
  void Bytes(const std::string& bytes) { Append(bytes.data(), bytes.size()); }
  // Returns the bytes so far. The writer is empty afterwards.
  std::string Take() { return std::exchange(bytes_, {}); }

 private:
  void Append(const void* data, size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
  }
  std::string bytes_;
};

// Reads fields in the order in which they were written. Throws DataError "message too short ..." if
// a field lies beyond the end or a count promises more than the message holds, and allocates
// nothing for it.
class WireReader {
 public:
  explicit WireReader(std::string bytes) : bytes_(std::move(bytes)) {}

  template <class T>
  T Pod() {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
    T value;
    std::memcpy(&value, Next(1, sizeof(T)), sizeof(T));
    return value;
  }
  template <class T>
  std::vector<T> Vector() {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_same_v<T, bool>);
    const auto count = Pod<uint64_t>();
    const char* from = Next(count, sizeof(T));
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), from, count * sizeof(T));
    return values;
  }
  std::string Text() {
    const auto count = Pod<uint64_t>();
    const char* from = Next(count, 1);
    return std::string(from, count);
  }
  // True once every byte has been read.
  [[nodiscard]] bool Done() const { return at_ == bytes_.size(); }

 private:
  const char* Next(uint64_t count, size_t size) {
    const size_t left = bytes_.size() - at_;
    if (count > left / size) {
      throw DataError("message too short: ", count, " element(s) of ", size,
                      " byte(s) expected at byte ", at_, " of ", bytes_.size(), ", ", left,
                      " byte(s) left");
    }
    return bytes_.data() + std::exchange(at_, at_ + count * size);
  }
  std::string bytes_;
  size_t at_ = 0;
};

}  // namespace flame

#endif  // FLAME_COMM_WIRE_H_
