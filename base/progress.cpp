#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

namespace flame {
namespace {

ProgressForm form = ProgressForm::kPlain;

size_t TerminalWidth() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string Bar(double fraction) {
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  return "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "]";
}

std::string ShortNumber(double per_second) {
  char text[32];
  std::snprintf(text, sizeof text, per_second < 10 ? "%.2f" : "%.0f", per_second);
  return text;
}

}  // namespace

void SetProgressForm(ProgressForm wanted) { form = wanted; }

Progress::Progress(std::string label, int64_t total, std::string unit, int64_t done)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      start_done_(done),
      terminal_(isatty(STDERR_FILENO) && form == ProgressForm::kPlain &&
                ShownLogLevel() <= LogLevel::kInfo),
      start_(Clock::now()),
      drawn_(start_) {}

Progress::~Progress() { Draw(true); }

void Progress::Add(int64_t n) {
  done_ += n;
  DrawIfDue();
}

void Progress::Step(const std::string& note) {
  ++done_;
  note_ = note;
  const bool first = !drawn_once_;
  // Draw writes plain lines to the file as well.
  const bool by_draw = !terminal_ && form == ProgressForm::kPlain && (first || Due());
  if (!by_draw) LogToFileAlone(label_ + ": " + Text(false));
  if (first) return Draw(false);
  DrawIfDue();
}

bool Progress::Due() const { return SecondsSince(drawn_) >= (terminal_ ? 0.1 : 10.0); }

void Progress::DrawIfDue() {
  if (Due()) Draw(false);
}

double Progress::Rate() const {
  const double elapsed = SecondsSince(start_);
  return elapsed > 0 ? static_cast<double>(done_ - start_done_) / elapsed : 0;
}

std::string Progress::Text(bool last) const {
  const double rate = Rate();
  std::string text =
      StrCat(done_, "/", total_, " ", unit_, ", ", ShortNumber(rate), " ", unit_, "/s");
  if (last) {
    text += ", took " + HumanDuration(SecondsSince(start_));
  } else if (rate > 0) {
    text += ", " + HumanDuration(static_cast<double>(total_ - done_) / rate) + " left";
  }
  return note_.empty() ? text : text + ", " + note_;
}

std::string Progress::Json(bool last) const {
  const double rate = Rate();
  nlohmann::ordered_json line = {
      {"progress", label_},      {"done", done_},      {"total", total_},
      {"unit", unit_},           {"per_second", rate}, {"seconds", SecondsSince(start_)},
      {"seconds_left", nullptr}, {"note", note_},      {"ended", last}};
  if (!last && rate > 0) line["seconds_left"] = static_cast<double>(total_ - done_) / rate;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Progress::Draw(bool last) {
  drawn_ = Clock::now();
  drawn_once_ = true;
  if (form == ProgressForm::kJson) {
    if (ShownLogLevel() <= LogLevel::kInfo) std::fprintf(stderr, "%s\n", Json(last).c_str());
    if (last) LogToFileAlone(label_ + ": " + Text(last));
    return;
  }
  const std::string text = Text(last);
  if (!terminal_) return LogInfo(label_, ": ", text);
  const double fraction = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1;
  std::string line = label_ + " " + Bar(fraction) + " " + text;
  line.resize(std::min(line.size(), TerminalWidth() - 1));
  std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  std::fflush(stderr);
}

std::string HumanDuration(double seconds) {
  const int64_t whole = std::llround(std::clamp(seconds, 0.0, 1e15));
  char text[64];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld h %02lld min", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole % 3600 / 60));
  } else if (whole >= 60) {
    std::snprintf(text, sizeof text, "%lld min %lld s", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(whole));
  }
  return text;
}

}  // namespace flame
