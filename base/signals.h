// Stop signals: SIGTERM and SIGUSR1 ask a training loop to save and stop with status 75.
#ifndef FLAME_BASE_SIGNALS_H_
#define FLAME_BASE_SIGNALS_H_

namespace flame {

void InstallStopSignals();
// Makes SIGINT (Ctrl-C) a stop signal too. Otherwise it ends the process without saving.
void InstallInterruptAsStop();
// True once a stop signal has arrived.
bool StopRequested();
// Throws Stopped (75) if a stop signal has arrived. For work that has nothing to save.
void StopIfRequested(bool requested = StopRequested());

}  // namespace flame

#endif  // FLAME_BASE_SIGNALS_H_
