// flame synth: a synthetic hospital.
#include "data/synth/synth.h"

#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "launch/command/command.h"

namespace flame {

int RunSynth(const ParsedOptions& options) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const int64_t patients = options.Count("patients", 3000, 1, kMost);
  const int64_t seed = options.Count("seed", 1, 0, kMost);
  const SynthOptions made{SynthLayoutNamed(options.Text("like", "mimic3")),
                          ParseSynthShifts(options.Text("shift", "none"))};
  const SynthSummary summary =
      WriteSynthHospital(options.Required("out"), patients, static_cast<uint64_t>(seed), made);
  if (options.Has("json")) {
    std::cout << nlohmann::json{{"patients", summary.patients},
                                {"visits", summary.visits},
                                {"drugs", summary.drugs},
                                {"drugs_per_visit", summary.drugs_per_visit},
                                {"ddi_rate", summary.ddi_rate},
                                {"oracle_list", summary.oracle_list},
                                {"oracle_threshold", summary.oracle_threshold},
                                {"shifts", summary.shifts}}
              << "\n";
    return 0;
  }
  std::cout << summary.patients << " patients, " << summary.visits << " visits, " << summary.drugs
            << " drugs; " << summary.drugs_per_visit << " drugs a visit, DDI rate "
            << summary.ddi_rate << "\nexpected Jaccard: best list " << summary.oracle_list
            << ", every drug with P > 0.5 " << summary.oracle_threshold << "\n";
  for (const std::string& shift : summary.shifts) std::cout << "shifted in " << shift << "\n";
  return 0;
}

}  // namespace flame
