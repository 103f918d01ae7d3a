#include "model/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tandem {

double ScheduleFactor(const ScheduleOptions& options, int64_t step) {
  if (step < options.warmup_steps)
    return static_cast<double>(step + 1) /
           static_cast<double>(options.warmup_steps);
  const int64_t decay_steps =
      std::max<int64_t>(1, options.total_steps - options.warmup_steps);
  const double progress =
      std::min(1.0, static_cast<double>(step - options.warmup_steps) /
                        static_cast<double>(decay_steps));
  return options.final_ratio + (1 - options.final_ratio) * 0.5 *
                                   (1 + std::cos(std::numbers::pi * progress));
}

}  // namespace tandem
