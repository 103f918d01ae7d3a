#include "client/retry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stop_token>
#include <thread>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// Lets simulated time pass and remembers how much.
class RecordingSleeper : public Sleeper {
 public:
  explicit RecordingSleeper(SimulatedClock& clock) : clock_(clock) {}
  Status Sleep(Duration duration) override {
    if (cancelled) return Cancelled("stopped");
    clock_.Advance(duration);
    waits.push_back(ToSeconds(duration));
    return OkStatus();
  }
  bool cancelled = false;
  std::vector<double> waits;

 private:
  SimulatedClock& clock_;
};

class RetryTest : public ::testing::Test {
 protected:
  Retrier MakeRetrier(RetryOptions options = {}, uint64_t seed = 1) {
    return Retrier(options, "127.0.0.1:1", clock_, sleeper_, seed);
  }
  // Fails `failures` times, then answers 7.
  StatusOr<int> Attempt(int failures, Status failure) {
    return ++attempts_ > failures ? StatusOr<int>(7) : StatusOr<int>(failure);
  }
  SimulatedClock clock_;
  RecordingSleeper sleeper_{clock_};
  int attempts_ = 0;
};

TEST_F(RetryTest, UnavailableThenOk) {
  Retrier retrier = MakeRetrier();
  TANDEM_ASSERT_OK_AND_ASSIGN(const int value, retrier.Run([&] {
    return Attempt(3, Unavailable("refused"));
  }));
  EXPECT_EQ(value, 7);
  EXPECT_EQ(attempts_, 4);
  EXPECT_EQ(sleeper_.waits.size(), 3u);
}

TEST_F(RetryTest, DeadlineExceededIsRetriedToo) {
  Retrier retrier = MakeRetrier();
  EXPECT_THAT(retrier.Run([&] { return Attempt(1, DeadlineExceeded("slow")); }),
              IsOk());
}

TEST_F(RetryTest, OtherCodesComeBackAtOnce) {
  for (const Status& status :
       {InvalidArgument("x"), FailedPrecondition("x"), NotFound("x"),
        Cancelled("x"), Status(StatusCode::kUnauthenticated, "x")}) {
    attempts_ = 0;
    Retrier retrier = MakeRetrier();
    EXPECT_THAT(retrier.Run([&] { return Attempt(9, status); }),
                StatusIs(status.code()));
    EXPECT_EQ(attempts_, 1);
  }
  EXPECT_TRUE(sleeper_.waits.empty());
}

TEST_F(RetryTest, WaitsDoubleToTheirBoundWithJitterInTheUpperHalf) {
  RetryOptions options;
  options.min_seconds = 1;
  options.max_seconds = 10;
  options.give_up_after_seconds = 0;
  Retrier retrier = MakeRetrier(options);
  EXPECT_THAT(retrier.Run([&] { return Attempt(100, Unavailable("x")); }),
              IsOk());
  ASSERT_EQ(sleeper_.waits.size(), 100u);
  const double longest[] = {1, 2, 4, 8, 10, 10};
  for (size_t i = 0; i < 100; ++i) {
    const double bound = longest[std::min<size_t>(i, 5)];
    EXPECT_LE(sleeper_.waits[i], bound) << i;
    EXPECT_GE(sleeper_.waits[i], bound / 2 - 1e-6) << i;
  }
  // Jitter is there at the bound too.
  EXPECT_NE(sleeper_.waits[98], sleeper_.waits[99]);
}

TEST_F(RetryTest, SeedsSpreadClients) {
  Retrier a = MakeRetrier({}, 1), b = MakeRetrier({}, 2);
  (void)a.Run([&] { return Attempt(1, Unavailable("x")); });
  attempts_ = 0;
  (void)b.Run([&] { return Attempt(1, Unavailable("x")); });
  EXPECT_NE(sleeper_.waits[0], sleeper_.waits[1]);
}

TEST_F(RetryTest, GivesUpWithAClearError) {
  RetryOptions options;
  options.give_up_after_seconds = 60;
  Retrier retrier = MakeRetrier(options);
  const TimePoint start = clock_.Now();
  EXPECT_THAT(
      retrier.Run([&] { return Attempt(1000, Unavailable("no route")); }),
      StatusIs(
          StatusCode::kUnavailable,
          ::testing::AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("giving up"),
                           HasSubstr("60 s"), HasSubstr("no route"))));
  EXPECT_GE(ToSeconds(clock_.Now() - start), 60);
  EXPECT_LE(ToSeconds(clock_.Now() - start), 80);  // one longest wait more
}

TEST_F(RetryTest, EveryOutageHasItsOwnPatience) {
  RetryOptions options;
  options.give_up_after_seconds = 30;
  Retrier retrier = MakeRetrier(options);
  for (int outage = 0; outage < 10; ++outage) {
    attempts_ = 0;
    EXPECT_THAT(retrier.Run([&] { return Attempt(4, Unavailable("x")); }),
                IsOk());
  }
}

TEST_F(RetryTest, AStopEndsTheWaiting) {
  sleeper_.cancelled = true;
  Retrier retrier = MakeRetrier();
  EXPECT_THAT(retrier.Run([&] { return Attempt(9, Unavailable("x")); }),
              StatusIs(StatusCode::kCancelled));
  EXPECT_EQ(attempts_, 1);
}

TEST(ClockSleeper, WakesAtItsTimeOrWhenStopped) {
  // Again and again, since nobody knows when the sleep begins.
  SimulatedClock simulated;
  const TimePoint before = simulated.Now();
  std::atomic<bool> awake = false;
  std::thread later([&] {
    while (!awake) simulated.Advance(Seconds(1));
  });
  EXPECT_THAT(ClockSleeper(simulated, {}).Sleep(Seconds(100)), IsOk());
  awake = true;
  later.join();
  EXPECT_GE(simulated.Now() - before, Seconds(100));

  SystemClock clock;
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  EXPECT_THAT(ClockSleeper(clock, stop.get_token()).Sleep(Seconds(3600)),
              StatusIs(StatusCode::kCancelled));
  stopper.join();
}

TEST(RetryOptionsFrom, NeverHasAMaximumBelowItsMinimum) {
  proto::ConnectionConfig config;
  config.set_min_retry_seconds(8);
  config.set_max_retry_seconds(2);
  EXPECT_EQ(RetryOptionsFrom(config).max_seconds, 8);
}

}  // namespace
}  // namespace tandem
