#include "base/metrics.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), a byte at a time.
uint32_t Crc32c(const std::string& bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> values;
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78 : crc >> 1;
      values[i] = crc;
    }
    return values;
  }();
  uint32_t crc = 0xFFFFFFFF;
  for (const unsigned char byte : bytes) crc = table[(crc ^ byte) & 255] ^ crc >> 8;
  return ~crc;
}

template <class T>
std::string Bytes(T value) {
  static_assert(std::endian::native == std::endian::little);
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

// Applies the mask of TensorFlow's record format, which keeps a checksum of checksums sound.
std::string MaskedCrc(const std::string& bytes) {
  return Bytes<uint32_t>(std::rotr(Crc32c(bytes), 15) + 0xA282EAD8);
}

std::string Record(const std::string& data) {
  const std::string length = Bytes<uint64_t>(data.size());
  return length + MaskedCrc(length) + data + MaskedCrc(data);
}

std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}

// Protocol-buffer fields: key = number << 3 | wire type.
std::string VarintField(int number, uint64_t value) {
  return Varint(static_cast<uint64_t>(number) << 3) + Varint(value);
}
std::string BytesField(int number, const std::string& value) {
  return Varint(static_cast<uint64_t>(number) << 3 | 2) + Varint(value.size()) + value;
}

// Encodes an Event of event.proto: wall_time = 1, step = 2; `rest` is its oneof.
std::string Event(int64_t step, const std::string& rest) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const std::string wall_time = Varint(1 << 3 | 1) + Bytes(now);
  return Record(wall_time + VarintField(2, static_cast<uint64_t>(step)) + rest);
}

// Encodes a Summary with one Summary.Value: tag = 1, simple_value = 2.
std::string ScalarSummary(const std::string& tag, float value) {
  return BytesField(1, BytesField(1, tag) + Varint(2 << 3 | 5) + Bytes(value));
}

// Returns the lines of `text` whose step is at most `last_step`, without a last line that a killed
// writer left unfinished. Throws DataError on any other line without an integer "step".
std::string KeptLines(const fs::path& path, const std::string& text, int64_t last_step) {
  std::istringstream lines(text);
  std::string kept, line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    const bool unfinished = lines.eof();
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (unfinished && row.is_discarded()) break;
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) {
      throw DataError(path.string(), ":", number,
                      ": expected a JSON object with an integer 'step'");
    }
    if (row["step"].get<int64_t>() <= last_step) kept += line + "\n";
  }
  return kept;
}

fs::path EventsPath(const fs::path& folder) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  fs::path path;
  int serial = 0;
  do {
    path =
        folder / StrCat("events.out.tfevents.", seconds, ".", host, ".", getpid(), ".", serial++);
  } while (fs::exists(path));
  return path;
}

void Flush(std::ofstream* file, const fs::path& folder) {
  if (!file->flush()) {
    throw MachineError(folder.string(), ": cannot write the metrics: ", std::strerror(errno));
  }
}

}  // namespace

MetricsSink::MetricsSink(const fs::path& folder, int64_t last_step) : folder_(folder) {
  const fs::path path = folder / "metrics.jsonl";
  const std::string old = fs::exists(path) ? ReadWholeFile(path) : "";
  WriteFileAtomically(path, KeptLines(path, old, last_step));
  lines_.open(path, std::ios::app);
  events_.open(EventsPath(folder), std::ios::binary);
  events_ << Event(0, BytesField(3, "brain.Event:2"));
  // SessionLog START (7: {1: 1}) makes TensorBoard drop what earlier files hold at this and later
  // steps.
  events_ << Event(last_step + 1, BytesField(7, VarintField(1, 1)));
  Flush(&lines_, folder_);
  Flush(&events_, folder_);
}

MetricsSink::~MetricsSink() = default;

void MetricsSink::Write(const nlohmann::json& row) {
  lines_ << row.dump() << '\n';
  Flush(&lines_, folder_);
  std::string summary;
  for (const auto& [name, value] : row.items()) {
    if (value.is_number() && name != "step") summary += ScalarSummary(name, value.get<float>());
  }
  events_ << Event(row.at("step").get<int64_t>(), BytesField(5, summary));
  Flush(&events_, folder_);
}

std::vector<double> SumsOfMetrics(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<double> sums(names.size());
  std::ifstream lines(folder / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    for (size_t i = 0; i < names.size() && row.is_object(); ++i) {
      const auto value = row.find(names[i]);
      if (value != row.end() && value->is_number()) sums[i] += value->get<double>();
    }
  }
  return sums;
}

}  // namespace flame
