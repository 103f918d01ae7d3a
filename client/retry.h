// Calls repeated while the server cannot be reached.
#ifndef TANDEM_CLIENT_RETRY_H_
#define TANDEM_CLIENT_RETRY_H_

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>

#include "common/clock.h"
#include "common/random.h"
#include "common/status.h"
#include "proto/config.pb.h"

namespace tandem {

// Waiting, injected: tests pass time without spending it.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // OK after `duration`; CANCELLED, at once, when waiting is to end early.
  virtual Status Sleep(Duration duration) = 0;
};

// Sleeps by a clock until a stop is requested.
class ClockSleeper : public Sleeper {
 public:
  // REQUIRES: `clock` outlives the sleeper.
  ClockSleeper(Clock& clock, std::stop_token stop)
      : clock_(clock), stop_(std::move(stop)) {}
  Status Sleep(Duration duration) override;

 private:
  Clock& clock_;
  std::stop_token stop_;
};

struct RetryOptions {
  // The k-th wait is drawn uniformly from the upper half of
  // [0, min(max_seconds, min_seconds 2^k)].
  double min_seconds = 0.5;
  double max_seconds = 20;
  // Unreachable for so long: give up. 0 never does.
  double give_up_after_seconds = 300;
};
RetryOptions RetryOptionsFrom(const proto::ConnectionConfig& config);

// UNAVAILABLE and DEADLINE_EXCEEDED, after which the same call may succeed.
bool IsRetryable(const Status& status);

// Not thread-safe; one for each thread that calls.
class Retrier {
 public:
  // `server` is for messages. REQUIRES: clock and sleeper outlive the retrier.
  Retrier(const RetryOptions& options, std::string server, Clock& clock,
          Sleeper& sleeper, uint64_t jitter_seed);

  // Runs `call` (it returns a StatusOr) until it answers anything but
  // UNAVAILABLE or DEADLINE_EXCEEDED, and returns that. Every wait is logged.
  // UNAVAILABLE, saying for how long it was tried, when it gives up; CANCELLED
  // when sleeping is cut short.
  template <typename Call>
  std::invoke_result_t<Call> Run(Call&& call) {
    Outage outage;
    while (true) {
      auto result = call();
      if (!IsRetryable(result.status())) return result;
      TANDEM_RETURN_IF_ERROR(WaitAfter(result.status(), outage));
    }
  }

 private:
  struct Outage {
    std::optional<TimePoint> since;
    int64_t failures = 0;
  };
  Status WaitAfter(const Status& failure, Outage& outage);
  Duration NextWait(int64_t failures);

  const RetryOptions options_;
  const std::string server_;
  Clock& clock_;
  Sleeper& sleeper_;
  SeededRandom random_;
};

}  // namespace tandem

#endif  // TANDEM_CLIENT_RETRY_H_
