// Measures encoding of notes on one thread: tokenizer_bench NOTES TOKENIZER prints one JSON object.
// NOTES is a text file whose notes are separated by form feeds. bench/peers/tokenizer.py compares
// the result with the Python package tokenizers.
#include <algorithm>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

// Returns this thread's processor time, on which other programs have little influence.
double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class Stopwatch {
 public:
  double Seconds() const { return ThreadSeconds() - begin_; }

 private:
  double begin_ = ThreadSeconds();
};

std::vector<std::string_view> NotesOf(std::string_view text) {
  std::vector<std::string_view> notes;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\f'), text.size());
    notes.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return notes;
}

// Reads VmHWM, not getrusage's peak, which includes the larger program that started this one. The
// kernel counts in batches, so a few MB may be missing.
int64_t PeakMemoryMb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (int64_t kilobytes = 0; word == "VmHWM:" && status >> kilobytes) return kilobytes / 1024;
  }
  throw MachineError("/proc/self/status: expected VmHWM");
}

double SecondsOfNotes(const Tokenizer& tokenizer, const std::vector<std::string_view>& notes,
                      std::vector<int32_t>* ids) {
  ids->clear();
  double seconds = 0;
  for (const std::string_view note : notes) {
    const Stopwatch watch;
    const std::vector<int32_t> some = tokenizer.Encode(note);
    seconds += watch.Seconds();
    ids->insert(ids->end(), some.begin(), some.end());
  }
  return seconds;
}

nlohmann::json Measure(const std::string& text, const std::string& path) {
  nlohmann::json result;
  const int64_t before_mb = PeakMemoryMb();
  const Stopwatch load;
  const Tokenizer tokenizer = Tokenizer::Load(path);
  result["load_seconds"] = load.Seconds();
  result["load_peak_mb"] = PeakMemoryMb() - before_mb;
  const std::vector<std::string_view> notes = NotesOf(text);
  std::vector<int32_t> ids;
  result["first_seconds"] = SecondsOfNotes(tokenizer, notes, &ids);
  result["seconds"] = SecondsOfNotes(tokenizer, notes, &ids);
  result["tokens"] = ids.size();
  const std::string_view bytes(reinterpret_cast<const char*>(ids.data()),
                               ids.size() * sizeof(int32_t));
  result["sha256"] = Sha256(bytes);
  const Stopwatch document;
  result["document_tokens"] = tokenizer.Encode(text).size();
  result["document_seconds"] = document.Seconds();
  return result;
}

int Run(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "tokenizer_bench NOTES TOKENIZER\n";
    return 2;
  }
  try {
    std::cout << Measure(ReadWholeFile(argv[1]), argv[2]) << std::endl;
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.status());
  }
  return 0;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) { return flame::Run(argc, argv); }
