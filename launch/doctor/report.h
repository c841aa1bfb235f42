// From findings to a table of checks.
#ifndef FLAME_LAUNCH_DOCTOR_REPORT_H_
#define FLAME_LAUNCH_DOCTOR_REPORT_H_

#include <string>
#include <vector>

#include "launch/doctor/probe.h"

namespace flame {

struct CheckResult {
  std::string name;
  bool passed = true;
  std::string found;  // in words, with the ranks and hosts that differ
  std::string mend;   // empty where it passed
};

// `expects_gpus`: model.device is cuda.
std::vector<CheckResult> JudgeFindings(const Findings& findings, bool expects_gpus);

// {"passed", "checks": [{name, passed, found, mend}], "ranks": [...], "links": [{from, to,
// latency_seconds, bytes_per_second}], "clock_ahead": [...]}; and of such a report the checks,
// "pass  clocks  ..." a line, the mend below.
nlohmann::json DoctorJson(const Findings& findings, const std::vector<CheckResult>& checks);
std::string DoctorTable(const nlohmann::json& report);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_REPORT_H_
