// flame tasks: list tasks from the classifier's errors.
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunTasks(const ParsedOptions& given) {
  ParsedOptions options = given;
  if (options.Has("feedback")) {
    options.overrides.push_back("tasks.feedback=" + options.Text("feedback"));
  }
  const Config config = ConfigOf(options);
  RankSession session(config);
  session.RequireOneProcess("tasks");
  TasksStage(config);
  return 0;
}

}  // namespace flame
