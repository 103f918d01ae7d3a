#include "common/clock.h"

namespace tandem {

TimePoint SystemClock::Now() const {
  return std::chrono::time_point_cast<Duration>(
      std::chrono::system_clock::now());
}

void SystemClock::WaitUntil(std::condition_variable& condition,
                            std::unique_lock<std::mutex>& lock,
                            TimePoint deadline) {
  condition.wait_until(lock, deadline);
}

// Looks at the simulated time once a millisecond instead of being woken by
// Advance(): waking would need the caller's mutex while holding this clock's,
// the opposite order of a caller that asks for Now() under its own.
void SimulatedClock::WaitUntil(std::condition_variable& condition,
                               std::unique_lock<std::mutex>& lock,
                               TimePoint deadline) {
  if (Now() < deadline) {
    condition.wait_for(lock, std::chrono::milliseconds(1));
  }
}

}  // namespace tandem
