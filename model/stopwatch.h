// Seconds since it was made, for measurements: by a clock that only rises.
#ifndef TANDEM_MODEL_STOPWATCH_H_
#define TANDEM_MODEL_STOPWATCH_H_

#include <chrono>

namespace tandem {

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

}  // namespace tandem

#endif  // TANDEM_MODEL_STOPWATCH_H_
