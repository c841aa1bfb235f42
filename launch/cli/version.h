// The version of this build.
#ifndef FLAME_LAUNCH_CLI_VERSION_H_
#define FLAME_LAUNCH_CLI_VERSION_H_

#include <string>

namespace flame {

// Returns the lines of flame --version: the program's version and build, and the versions of the
// libraries that it was built with.
std::string VersionText();

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_VERSION_H_
