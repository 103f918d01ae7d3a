// What a run tells whoever watches it, for progress bars and lines.
#ifndef TANDEM_SERVER_RUN_OBSERVER_H_
#define TANDEM_SERVER_RUN_OBSERVER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "server/run_report.h"

namespace tandem {

// Any of them may be empty. They are called from threads of the server, never
// two at a time, and must return quickly and not call back into the server.
struct RunObserver {
  // The server listens on this address (its port filled in); not called where
  // there is no network.
  std::function<void(const std::string& address)> on_listening;
  // `phase` is a short text such as "initial distillation", "waiting for
  // clients", "round 2: training", "round 2: evaluating"; `done` counts up to
  // `total` (steps, clients, tasks, examples). total 0: not known.
  std::function<void(const std::string& phase, int64_t done, int64_t total)>
      on_phase;
  // A round was committed, failed or was abandoned.
  std::function<void(const RoundReport& round)> on_round_ended;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_RUN_OBSERVER_H_
