// flame export: a trained policy for servers.
#include "launch/run/export.h"

#include "base/error.h"
#include "launch/command/command.h"
#include "launch/run/run_paths.h"

namespace flame {

int RunExport(const ParsedOptions& options) {
  const std::filesystem::path out = options.Required("out");
  if (options.Has("run") == options.Has("model")) {
    throw UsageError("expected one of --run and --model");
  }
  const std::filesystem::path model = options.Has("model")
                                          ? std::filesystem::path(options.Text("model"))
                                          : RunPaths(options.Text("run")).grpo();
  ExportPolicy(model, out);
  return 0;
}

}  // namespace flame
