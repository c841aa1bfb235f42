// Progress of a long loop, with rate and time left. A terminal shows a bar. Otherwise a line
// appears at the first step of a training, then every ten seconds, and at the end. The log file has
// a line for every step of a training.
#ifndef FLAME_BASE_PROGRESS_H_
#define FLAME_BASE_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace flame {

// kPlain: as above. kJson: each line is an object for a program,
//   {"progress": "classifier", "done": 12, "total": 1200, "unit": "step", "per_second": 4.2,
//    "seconds": 2.9, "seconds_left": 283, "note": "loss 0.42", "ended": false}
// where seconds_left is null at the end and before the rate is known.
enum class ProgressForm { kPlain, kJson };
void SetProgressForm(ProgressForm form);

class Progress {
 public:
  // Example: Progress p("classifier", 1200, "step"); p.Step("loss 0.42");
  Progress(std::string label, int64_t total, std::string unit, int64_t done = 0);
  ~Progress();  // ends the line
  void Add(int64_t n);
  void Step(const std::string& note);

 private:
  double Rate() const;  // per second; 0: not known yet
  std::string Text(bool last) const;
  std::string Json(bool last) const;
  void Draw(bool last);
  bool Due() const;
  void DrawIfDue();
  std::string label_, unit_, note_;
  int64_t total_, done_, start_done_;
  bool terminal_, drawn_once_ = false;
  std::chrono::steady_clock::time_point start_, drawn_;
};

// Returns "1 h 04 min", "3 min 20 s" or "12 s".
std::string HumanDuration(double seconds);

}  // namespace flame

#endif  // FLAME_BASE_PROGRESS_H_
