// The report of runs: one self-contained HTML page.
#ifndef FLAME_LAUNCH_REPORT_RUN_PAGE_H_
#define FLAME_LAUNCH_REPORT_RUN_PAGE_H_

#include <string>
#include <vector>

#include "launch/report/run_view.h"

namespace flame {

// Takes at least one run; several are compared first. `refresh` as in PageHead.
std::string RunPage(const std::vector<RunView>& runs, int refresh = 0);

// The learning curve of GRPO as an SVG file; "" if no run has a step of it.
std::string RewardCurveSvg(const std::vector<RunView>& runs);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_RUN_PAGE_H_
