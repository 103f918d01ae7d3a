// Encoders of Q4_K and Q6_K. Both look for the scales with the least squared
// error: candidates per group, then the whole numbers near the best of them,
// every weight at its nearest level. The layouts are beside the decoders.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "model/ggml_bytes.h"
#include "model/ggml_k_blocks.h"

namespace tandem {
namespace {

// The nearest whole number of [lowest, highest]; `lowest` for a NaN.
float Nearest(float value, float lowest, float highest) {
  const float clamped = std::min(std::max(lowest, value), highest);
  return static_cast<float>(static_cast<int>(clamped - lowest + 0.5f)) + lowest;
}

float InverseOf(float value) { return value != 0 ? 1 / value : 0; }

float RoundToHalf(float value) {
  return c10::detail::fp16_ieee_to_fp32_value(
      c10::detail::fp16_ieee_from_fp32_value(value));
}

// A group of 32 in Q4_K: x is near scale n - minimum, n from 0 to 15.
struct AffineFit {
  float scale = 0, minimum = 0;  // neither is negative
};

constexpr int kAffineSize = 32, kAffineGroups = 8;
constexpr float kAffineLevels = 15, kSixBits = 63;

float AffineLevel(float x, AffineFit fit, float inverse) {
  return Nearest((x + fit.minimum) * inverse, 0, kAffineLevels);
}

float SquaredError(const float* x, AffineFit fit) {
  const float inverse = InverseOf(fit.scale);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < kAffineSize; ++j) {
    const float level = AffineLevel(x[j], fit, inverse);
    const float error = fit.scale * level - fit.minimum - x[j];
    sum += error * error;
  }
  return sum;
}

// The least-squares line through (level, x), for the levels that `fit` gives.
// A line that would need a negative minimum goes through the origin instead.
AffineFit LeastSquares(const float* x, AffineFit fit) {
  const float inverse = InverseOf(fit.scale);
  float n = 0, nn = 0, sum = 0, xn = 0;
#pragma omp simd reduction(+ : n, nn, sum, xn)
  for (int j = 0; j < kAffineSize; ++j) {
    const float level = AffineLevel(x[j], fit, inverse);
    n += level;
    nn += level * level;
    sum += x[j];
    xn += level * x[j];
  }
  const float determinant = kAffineSize * nn - n * n;
  if (determinant <= 0) return fit;
  const float scale = (kAffineSize * xn - n * sum) / determinant;
  const float minimum = (n * xn - nn * sum) / determinant;
  if (minimum >= 0) return {scale, minimum};
  return {xn / nn, 0};
}

// Steps a little narrower and wider than the one that spans the range.
AffineFit FitAffine(const float* x) {
  const auto [low, high] = std::minmax_element(x, x + kAffineSize);
  const float minimum = -std::min(*low, 0.0f), range = *high + minimum;
  AffineFit best = {0, minimum};
  float least = SquaredError(x, best);
  for (int i = 0; i <= 7 && range > 0; ++i) {
    const float steps = kAffineLevels - 1 + 0.3f * static_cast<float>(i);
    const AffineFit first = LeastSquares(x, {range / steps, minimum});
    const AffineFit fit = LeastSquares(x, first);
    const float error = SquaredError(x, fit);
    if (fit.scale > 0 && error < least) {
      least = error;
      best = fit;
    }
  }
  return best;
}

struct SixBitPair {
  int scale = 0, minimum = 0;
};

// Of the pairs around fit / (d, d_min), the one with the least error.
SixBitPair RoundAffine(const float* x, AffineFit fit, float d, float d_min) {
  const float scale = Nearest(fit.scale * InverseOf(d), 0, kSixBits);
  const float minimum = Nearest(fit.minimum * InverseOf(d_min), 0, kSixBits);
  SixBitPair best;
  float least = INFINITY;
  for (float s = scale - 1; s <= scale + 1; ++s) {
    for (float m = minimum - 1; m <= minimum + 1; ++m) {
      if (s < 0 || m < 0 || s > kSixBits || m > kSixBits) continue;
      const float error = SquaredError(x, {d * s, d_min * m});
      if (error >= least) continue;
      least = error;
      best = {static_cast<int>(s), static_cast<int>(m)};
    }
  }
  return best;
}

std::byte Low8(int value) { return static_cast<std::byte>(value & 0xff); }

// The inverse of the decoder's SixBits.
void PackSixBits(const SixBitPair* pairs, std::byte* packed) {
  for (int i = 0; i < 4; ++i) {
    const SixBitPair first = pairs[i], last = pairs[i + 4];
    packed[i] = Low8(first.scale | last.scale >> 4 << 6);
    packed[i + 4] = Low8(first.minimum | last.minimum >> 4 << 6);
    packed[i + 8] = Low8((last.scale & 15) | (last.minimum & 15) << 4);
  }
}

// Group i's levels into its half of 32 bytes, which were zero before.
void StoreNibbles(const float* x, AffineFit fit, int i, std::byte* nibbles) {
  const float inverse = InverseOf(fit.scale);
  for (int j = 0; j < kAffineSize; ++j) {
    const int level = static_cast<int>(AffineLevel(x[j], fit, inverse));
    nibbles[i / 2 * kAffineSize + j] |= Low8(level << (i % 2 * 4));
  }
}

}  // namespace

void Q4K::Encode(const float* values, std::byte* block) {
  AffineFit fits[kAffineGroups];
  float scale = 0, minimum = 0;
  for (int i = 0; i < kAffineGroups; ++i) {
    fits[i] = FitAffine(values + i * kAffineSize);
    scale = std::max(scale, fits[i].scale);
    minimum = std::max(minimum, fits[i].minimum);
  }
  const float d = RoundToHalf(scale / kSixBits);
  const float d_min = RoundToHalf(minimum / kSixBits);
  SixBitPair pairs[kAffineGroups];
  std::fill(block + 16, block + kBytes, std::byte{0});
  for (int i = 0; i < kAffineGroups; ++i) {
    const float* x = values + i * kAffineSize;
    pairs[i] = RoundAffine(x, fits[i], d, d_min);
    const AffineFit fit = {d * static_cast<float>(pairs[i].scale),
                           d_min * static_cast<float>(pairs[i].minimum)};
    StoreNibbles(x, fit, i, block + 16);
  }
  StoreHalf(d, block);
  StoreHalf(d_min, block + 2);
  PackSixBits(pairs, block + 4);
}

namespace {

// A group of 16 in Q6_K: x is near scale n, n from -32 to 31.
constexpr int kSignedSize = 16, kSignedGroups = 16;
constexpr float kLowestLevel = -32, kHighestLevel = 31;

float SignedLevel(float x, float inverse) {
  return Nearest(x * inverse, kLowestLevel, kHighestLevel);
}

float SquaredError(const float* x, float scale) {
  const float inverse = InverseOf(scale);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int j = 0; j < kSignedSize; ++j) {
    const float error = scale * SignedLevel(x[j], inverse) - x[j];
    sum += error * error;
  }
  return sum;
}

float LeastSquares(const float* x, float scale) {
  const float inverse = InverseOf(scale);
  float nn = 0, xn = 0;
#pragma omp simd reduction(+ : nn, xn)
  for (int j = 0; j < kSignedSize; ++j) {
    const float level = SignedLevel(x[j], inverse);
    nn += level * level;
    xn += level * x[j];
  }
  return nn > 0 ? xn / nn : 0;
}

float ExtremeOf(const float* x, int size) {
  return *std::max_element(x, x + size, [](float a, float b) {
    return std::fabs(a) < std::fabs(b);
  });
}

// The weight of largest magnitude takes a level near -32, whatever its sign.
float FitSigned(const float* x) {
  const float extreme = ExtremeOf(x, kSignedSize);
  float best = 0, least = SquaredError(x, best);
  for (int i = -3; i <= 3; ++i) {
    const float steps = kLowestLevel + 0.3f * static_cast<float>(i);
    const float scale = LeastSquares(x, extreme / steps);
    const float error = SquaredError(x, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

// Of the whole numbers around scale / d, the one with the least error.
int RoundSigned(const float* x, float scale, float d) {
  const float nearest = Nearest(scale * InverseOf(d), -128, 127);
  float best = 0, least = INFINITY;
  for (float s = nearest - 1; s <= nearest + 1; ++s) {
    if (s < -128 || s > 127) continue;
    const float error = SquaredError(x, d * s);
    if (error >= least) continue;
    least = error;
    best = s;
  }
  return static_cast<int>(best);
}

// Group i's levels, which were zero before: low nibbles, then high pairs.
void StoreSixBits(const float* x, float scale, int i, std::byte* block) {
  const float inverse = InverseOf(scale);
  for (int j = 0; j < kSignedSize; ++j) {
    const int at = i * kSignedSize + j;
    const int half = at / 128, quarter = at % 128 / 32, column = at % 32;
    const int level = static_cast<int>(SignedLevel(x[j], inverse)) + 32;
    block[64 * half + 32 * (quarter % 2) + column] |=
        Low8((level & 15) << (quarter / 2 * 4));
    block[128 + 32 * half + column] |= Low8(level >> 4 << (2 * quarter));
  }
}

}  // namespace

void Q6K::Encode(const float* values, std::byte* block) {
  float scales[kSignedGroups];
  for (int i = 0; i < kSignedGroups; ++i) {
    scales[i] = FitSigned(values + i * kSignedSize);
  }
  const float d = RoundToHalf(ExtremeOf(scales, kSignedGroups) / -128);
  std::fill(block, block + 192, std::byte{0});
  for (int i = 0; i < kSignedGroups; ++i) {
    const float* x = values + i * kSignedSize;
    const int s = RoundSigned(x, scales[i], d);
    block[192 + i] = Low8(s);
    StoreSixBits(x, d * static_cast<float>(s), i, block);
  }
  StoreHalf(d, block + 208);
}

}  // namespace tandem
