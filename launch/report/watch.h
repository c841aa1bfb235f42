// A page that is made anew for every request, for the browsers of this machine.
#ifndef FLAME_LAUNCH_REPORT_WATCH_H_
#define FLAME_LAUNCH_REPORT_WATCH_H_

#include <cstdint>
#include <functional>
#include <string>

namespace flame {

// Serves `page` at http://127.0.0.1:PORT/ until a signal asks the program to stop (StopRequested).
// Listens on loopback alone, and refuses requests whose Host is another one, so that pages
// of the web cannot read it. Port 0 takes a free one. `tell` gets the address once it listens. A
// request that is not complete after five seconds is dropped, and keeps no other one waiting.
// Throws MachineError if the port is taken.
void ServePage(uint16_t port, const std::function<std::string()>& page,
               const std::function<void(const std::string& address)>& tell);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_WATCH_H_
