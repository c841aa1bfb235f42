#include "launch/cli/config_arguments.h"

#include "base/log.h"
#include "base/progress.h"
#include "base/trace.h"

namespace flame {

void UseLogLevel(const ParsedOptions& options) {
  if (options.Has("log-level")) InitLogging(ParseLogLevel(options.Text("log-level")), -1);
}

Config ConfigOf(const ParsedOptions& options) {
  UseLogLevel(options);
  if (options.Text("progress", "plain") == "json") SetProgressForm(ProgressForm::kJson);
  Config config = LoadConfig(options.Text("config"), options.overrides);
  if (options.Has("trace")) StartTrace();
  return config;
}

}  // namespace flame
