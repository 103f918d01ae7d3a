#include "cli/progress_bar.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <utility>

namespace tandem::cli {
namespace {

constexpr int64_t kBarColumns = 24;
constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 5;
// A rate over less time says nothing.
constexpr double kMinRateSeconds = 0.1;

}  // namespace

std::string FormatDuration(Duration duration) {
  const int64_t seconds =
      std::max<int64_t>(0, (duration.count() + 500'000) / 1'000'000);
  if (seconds < 60) return fmt::format("{} s", seconds);
  const int64_t minutes = seconds / 60;
  if (minutes < 60) return fmt::format("{}:{:02} min", minutes, seconds % 60);
  return fmt::format("{}:{:02}:{:02} h", minutes / 60, minutes % 60,
                     seconds % 60);
}

ProgressBar::ProgressBar(std::string title, std::string unit,
                         const Clock& clock, std::ostream& out,
                         bool is_terminal)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      clock_(clock),
      out_(out),
      is_terminal_(is_terminal),
      start_(clock.Now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_columns_ > 0) out_ << '\n' << std::flush;
}

void ProgressBar::Update(int64_t done, int64_t total, const std::string& note) {
  const TimePoint now = clock_.Now();
  const Duration pause = Seconds(is_terminal_ ? kRedrawSeconds : kLineSeconds);
  const bool is_last = total > 0 && done >= total;
  if (!is_last && last_shown_ && now - *last_shown_ < pause) return;
  last_shown_ = now;
  const std::string line = Line(done, total, note);
  if (!is_terminal_) {
    out_ << line << std::endl;
    return;
  }
  // A shorter line must cover the rest of a longer one.
  out_ << '\r' << fmt::format("{:<{}}", line, drawn_columns_) << std::flush;
  drawn_columns_ = std::max(drawn_columns_, line.size());
}

std::string ProgressBar::Line(int64_t done, int64_t total,
                              const std::string& note) const {
  const double seconds = ToSeconds(clock_.Now() - start_);
  std::string line = title_ + " ";
  if (is_terminal_ && total > 0) {
    const int64_t filled =
        std::clamp<int64_t>(done, 0, total) * kBarColumns / total;
    line += fmt::format("[{}{}] ", std::string(filled, '#'),
                        std::string(kBarColumns - filled, '.'));
  }
  line += total > 0 ? fmt::format("{}/{} {}", done, total, unit_)
                    : fmt::format("{} {}", done, unit_);
  if (seconds >= kMinRateSeconds && done > done_before_) {
    const double rate = static_cast<double>(done - done_before_) / seconds;
    line += fmt::format(", {:.3g}/s", rate);
    line += done < total
                ? fmt::format(", {} left",
                              FormatDuration(Seconds((total - done) / rate)))
                : fmt::format(", {}", FormatDuration(Seconds(seconds)));
  }
  return note.empty() ? line : line + ", " + note;
}

bool StandardErrorIsTerminal() { return isatty(STDERR_FILENO) == 1; }

ProgressBar StandardErrorProgress(std::string title, std::string unit) {
  static const SystemClock clock;
  return ProgressBar(std::move(title), std::move(unit), clock, std::cerr,
                     StandardErrorIsTerminal());
}

}  // namespace tandem::cli
