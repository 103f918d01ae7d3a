// Time, injected: production code gets a SystemClock, tests a SimulatedClock
// that moves only when told to.
#ifndef TANDEM_COMMON_CLOCK_H_
#define TANDEM_COMMON_CLOCK_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace tandem {

using Duration = std::chrono::microseconds;
// Microseconds since the Unix epoch.
using TimePoint = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline Duration Seconds(double seconds) {
  return Duration(static_cast<int64_t>(seconds * 1e6));
}
inline double ToSeconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
  // Waits on `condition` until it is notified or the clock reaches `deadline`,
  // whichever comes first; spurious returns are possible. REQUIRES: `lock` is
  // held.
  virtual void WaitUntil(std::condition_variable& condition,
                         std::unique_lock<std::mutex>& lock,
                         TimePoint deadline) = 0;
};

class SystemClock : public Clock {
 public:
  TimePoint Now() const override;
  void WaitUntil(std::condition_variable& condition,
                 std::unique_lock<std::mutex>& lock,
                 TimePoint deadline) override;
};

// Starts at a fixed time and moves by Advance() alone. Thread-safe.
class SimulatedClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(Duration(now_.load())); }
  void WaitUntil(std::condition_variable& condition,
                 std::unique_lock<std::mutex>& lock,
                 TimePoint deadline) override;
  void Advance(Duration by) { now_ += by.count(); }

 private:
  std::atomic<int64_t> now_{1'600'000'000'000'000};  // us since the epoch
};

}  // namespace tandem

#endif  // TANDEM_COMMON_CLOCK_H_
