// Progress of long work on standard error: a bar with rate and time left on a
// terminal, plain lines elsewhere.
#ifndef TANDEM_CLI_PROGRESS_BAR_H_
#define TANDEM_CLI_PROGRESS_BAR_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "common/clock.h"

namespace tandem::cli {

// Not thread-safe. On a terminal the line is redrawn at most ten times a
// second; elsewhere there is a line at most every five seconds. The last step
// is always shown.
class ProgressBar {
 public:
  // REQUIRES: clock and out outlive the bar. `unit`: "steps", "examples".
  ProgressBar(std::string title, std::string unit, const Clock& clock,
              std::ostream& out, bool is_terminal);
  // Ends the line that was begun on a terminal.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // What an earlier process did; it counts for no rate.
  void StartAt(int64_t done) { done_before_ = done; }
  // `note` is shown behind: "loss 3.21". total 0: not known.
  void Update(int64_t done, int64_t total, const std::string& note = "");

 private:
  std::string Line(int64_t done, int64_t total, const std::string& note) const;

  const std::string title_, unit_;
  const Clock& clock_;
  std::ostream& out_;
  const bool is_terminal_;
  const TimePoint start_;
  int64_t done_before_ = 0;
  std::optional<TimePoint> last_shown_;
  size_t drawn_columns_ = 0;
};

// On standard error, as it is.
ProgressBar StandardErrorProgress(std::string title, std::string unit);
bool StandardErrorIsTerminal();

// "3 s", "2:05 min", "1:02:03 h".
std::string FormatDuration(Duration duration);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_PROGRESS_BAR_H_
