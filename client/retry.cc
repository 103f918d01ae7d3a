#include "client/retry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace tandem {

Status ClockSleeper::Sleep(Duration duration) {
  const TimePoint deadline = clock_.Now() + duration;
  std::mutex mutex;
  std::condition_variable stopped;
  std::stop_callback wake(stop_, [&] {
    std::lock_guard lock(mutex);
    stopped.notify_all();
  });
  std::unique_lock lock(mutex);
  while (!stop_.stop_requested() && clock_.Now() < deadline) {
    clock_.WaitUntil(stopped, lock, deadline);
  }
  return stop_.stop_requested() ? Cancelled("stopped while waiting")
                                : OkStatus();
}

RetryOptions RetryOptionsFrom(const proto::ConnectionConfig& config) {
  RetryOptions options;
  options.min_seconds = config.min_retry_seconds();
  options.max_seconds =
      std::max(config.min_retry_seconds(), config.max_retry_seconds());
  options.give_up_after_seconds = config.give_up_after_seconds();
  return options;
}

bool IsRetryable(const Status& status) {
  return status.code() == StatusCode::kUnavailable ||
         status.code() == StatusCode::kDeadlineExceeded;
}

Retrier::Retrier(const RetryOptions& options, std::string server, Clock& clock,
                 Sleeper& sleeper, uint64_t jitter_seed)
    : options_(options),
      server_(std::move(server)),
      clock_(clock),
      sleeper_(sleeper),
      random_(jitter_seed) {}

Duration Retrier::NextWait(int64_t failures) {
  const double doublings = static_cast<double>(std::min<int64_t>(failures, 60));
  const double longest = std::min(options_.max_seconds,
                                  options_.min_seconds * std::exp2(doublings));
  return Seconds(longest * (0.5 + 0.5 * random_.Uniform()));
}

Status Retrier::WaitAfter(const Status& failure, Outage& outage) {
  const TimePoint now = clock_.Now();
  if (!outage.since) outage.since = now;
  const double unreachable_seconds = ToSeconds(now - *outage.since);
  const double limit = options_.give_up_after_seconds;
  if (limit > 0 && unreachable_seconds >= limit) {
    return Unavailable(
        "server at {} unreachable for {:.0f} s ({} attempts, the limit is {} "
        "s), giving up; the last reason: {}",
        server_, unreachable_seconds, outage.failures + 1, limit,
        ToString(failure));
  }
  const Duration wait = NextWait(outage.failures++);
  spdlog::warn("server at {} unreachable ({}), retrying in {:.1f} s", server_,
               ToString(failure), ToSeconds(wait));
  return sleeper_.Sleep(wait);
}

}  // namespace tandem
