// Judges the findings: a table of checks.
#ifndef FLAME_LAUNCH_DOCTOR_REPORT_H_
#define FLAME_LAUNCH_DOCTOR_REPORT_H_

#include <string>
#include <vector>

#include "launch/doctor/probe.h"

namespace flame {

struct CheckResult {
  std::string name;
  bool passed = true;
  std::string found;  // what was found, with the ranks and hosts that differ
  std::string fix;    // how to fix it; empty if the check passed
};

// Judges all checks; `expects_gpus` if model.device is cuda.
std::vector<CheckResult> JudgeFindings(const Findings& findings, bool expects_gpus);

// Returns {"passed", "checks": [{name, passed, found, fix}], "ranks": [...], "links": [{from, to,
// error, latency_seconds, bytes_per_second}], "clock_ahead": [{rank, seconds}]}.
nlohmann::json DoctorJson(const Findings& findings, const std::vector<CheckResult>& checks);
// Returns the checks of such a report, one line each ("pass  clocks  ..."). The line after a failed
// check says how to fix it.
std::string DoctorTable(const nlohmann::json& report);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_REPORT_H_
