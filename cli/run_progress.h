// A run as its server or simulation shows it while it goes on.
#ifndef TANDEM_CLI_RUN_PROGRESS_H_
#define TANDEM_CLI_RUN_PROGRESS_H_

#include <iostream>
#include <memory>
#include <ostream>
#include <string>

#include "cli/progress_bar.h"
#include "common/status.h"
#include "server/run_host.h"
#include "server/run_observer.h"
#include "server/run_report.h"

namespace tandem::cli {

// A bar for each phase and a line for each round, on standard error; the
// address, on standard output, where scripts wait for it. With `json` standard
// output is left to ShowEnd, and the address is on standard error too.
class RunProgress {
 public:
  explicit RunProgress(bool json)
      : address_out_(json ? std::cerr : std::cout) {}
  // REQUIRES: this outlives all calls of the observer.
  RunObserver Observer();

 private:
  void ShowPhase(const std::string& phase, int64_t done, int64_t total);
  void ShowRound(const RoundReport& round);

  std::ostream& address_out_;
  std::string phase_;
  std::unique_ptr<ProgressBar> bar_;
};

// "round 2: COMMITTED in 31 s, train loss 4.12, ACCEPTED 2; jargon 1.52 ..."
// with bits per byte behind each name.
std::string RoundLine(const RoundReport& round);

// Says on standard output how the run ended, in a line or, with `json`, as `run
// show --json` does. An error for FAILED, which has no line.
Status ShowEnd(const RunSummary& summary, bool json);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_RUN_PROGRESS_H_
