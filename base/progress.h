// Progress of a long loop, with rate and time left. A terminal shows a bar. Otherwise plain log
// lines appear: one for each step of a training, one every ten seconds of other loops. The log file
// gets a training's lines either way.
#ifndef FLAME_BASE_PROGRESS_H_
#define FLAME_BASE_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

namespace flame {

class Progress {
 public:
  // Example: Progress p("classifier", 1200, "step"); p.Step("loss 0.42");
  Progress(std::string label, int64_t total, std::string unit, int64_t done = 0);
  ~Progress();  // ends the line
  void Add(int64_t n);
  void Step(const std::string& note);

 private:
  std::string Text(bool last) const;
  void Draw(bool last);
  std::string label_, unit_, note_;
  int64_t total_, done_, start_done_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

// Returns "1 h 04 min", "3 min 20 s" or "12 s".
std::string HumanDuration(double seconds);

}  // namespace flame

#endif  // FLAME_BASE_PROGRESS_H_
