// Simulated memory of one rank: allocations, frees, and the usage by kind at the peak.
#ifndef FLAME_LAUNCH_PLAN_LEDGER_H_
#define FLAME_LAUNCH_PLAN_LEDGER_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace flame {

// The uses of memory. kScratch: receive buffers of the host's collectives, which are not tensors.
enum class Part {
  kFrozen,
  kTrainable,
  kGathered,
  kGradients,
  kOptimizer,
  kCheckpoint,
  kActivations,
  kHead,
  kCache,
  kScratch,
  kNumParts
};
inline constexpr size_t kNumParts = static_cast<size_t>(Part::kNumParts);
const char* PartName(Part part);

using PartBytes = std::array<int64_t, kNumParts>;

class Ledger {
 public:
  // Allocated memory; the destructor frees it. Scopes nest as the program's variables do.
  class Held {
   public:
    Held() = default;
    Held(Ledger* ledger, Part part, int64_t bytes) : ledger_(ledger), part_(part), bytes_(bytes) {
      ledger->Add(part, bytes);
    }
    Held(Held&& other) noexcept { *this = std::move(other); }
    Held& operator=(Held&& other) noexcept {
      Free();
      std::swap(ledger_, other.ledger_);
      std::swap(bytes_, other.bytes_);
      part_ = other.part_;
      return *this;
    }
    ~Held() { Free(); }
    void Free() {
      if (ledger_ != nullptr) ledger_->Add(part_, -bytes_);
      ledger_ = nullptr;
      bytes_ = 0;
    }

   private:
    Ledger* ledger_ = nullptr;
    Part part_ = Part::kActivations;
    int64_t bytes_ = 0;
  };

  Held Take(Part part, int64_t bytes) { return Held(this, part, bytes); }
  // Takes memory for a moment, beside all that is held.
  void Touch(Part part, int64_t bytes) { Take(part, bytes); }
  void Add(Part part, int64_t bytes) {
    now_[static_cast<size_t>(part)] += bytes;
    total_ += bytes;
    if (total_ > peak_) peak_ = total_, at_peak_ = now_;
  }
  int64_t peak() const { return peak_; }
  const PartBytes& at_peak() const { return at_peak_; }

 private:
  PartBytes now_{}, at_peak_{};
  int64_t total_ = 0, peak_ = 0;
};

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_LEDGER_H_
