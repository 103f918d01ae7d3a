// e^x and the sigmoid, which the compiler can vectorise.
#ifndef TANDEM_MODEL_FAST_EXP_H_
#define TANDEM_MODEL_FAST_EXP_H_

#include <algorithm>
#include <bit>

namespace tandem {

// e^x to 2 units in the last place; 0 below -88. REQUIRES: -2^21 < x < 88. x is
// split into n ln 2 + f with |f| <= ln 2 / 2; e^f is Taylor's polynomial. Only
// integers are compared, which the compiler knows cannot trap.
[[gnu::always_inline]] inline float FastExp(float x) {
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it rounds to integer
  const float rounded = x * 1.44269504f + kRound;
  const float n = rounded - kRound;
  const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * f + 1.0f / 720;
  p = p * f + 1.0f / 120;
  p = p * f + 1.0f / 24;
  p = p * f + 1.0f / 6;
  p = p * f + 0.5f;
  p = p * f + 1;
  p = p * f + 1;
  const int exponent =
      std::bit_cast<int>(rounded) - std::bit_cast<int>(kRound) + 127;
  return p * std::bit_cast<float>(std::clamp(exponent, 0, 254) << 23);
}

// 1 / (1 + e^-x). REQUIRES: |x| < 2^21.
[[gnu::always_inline]] inline float FastSigmoid(float x) {
  return 1 / (1 + FastExp(-x));
}

}  // namespace tandem

#endif  // TANDEM_MODEL_FAST_EXP_H_
