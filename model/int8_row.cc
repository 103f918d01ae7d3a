#include "model/int8_row.h"

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

void RoundBlock(const float* __restrict x, int8_t* __restrict values,
                float* scale_and_sum) {
  float largest = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < kInt8Block; ++i)
    largest = std::max(largest, std::fabs(x[i]));
  const float scale = largest / 127;
  const float inverse = scale > 0 ? 1 / scale : 0;
  int sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < kInt8Block; ++i) {
    const float scaled = x[i] * inverse;
    const int rounded = static_cast<int>(scaled + std::copysign(0.5f, scaled));
    values[i] = static_cast<int8_t>(rounded);
    sum += rounded;
  }
  scale_and_sum[0] = scale;
  scale_and_sum[1] = scale * static_cast<float>(sum);
}

}  // namespace

void Int8Row::Assign(const float* x, int64_t size) {
  values.resize(size);
  scales.resize(2 * (size / kInt8Block));
  for (int64_t b = 0; b < size / kInt8Block; ++b)
    RoundBlock(x + b * kInt8Block, values.data() + b * kInt8Block,
               scales.data() + 2 * b);
}

}  // namespace tandem
