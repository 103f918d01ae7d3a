// How the learning rate moves over a run.
#ifndef TANDEM_MODEL_LEARNING_RATE_H_
#define TANDEM_MODEL_LEARNING_RATE_H_

#include <cstdint>

namespace tandem {

// learning_rate * ScheduleFactor(step): linear warm-up over warmup_steps, then
// a cosine from 1 to final_ratio at total_steps.
struct ScheduleOptions {
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  double final_ratio = 0.1;
};
// step counts from 0. The first step of a warm-up over w steps has 1 / w; past
// total_steps the factor stays at final_ratio.
double ScheduleFactor(const ScheduleOptions& options, int64_t step);

}  // namespace tandem

#endif  // TANDEM_MODEL_LEARNING_RATE_H_
