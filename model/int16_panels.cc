#include "model/int16_panels.h"

#include "model/int16_kernel.h"
#include "model/transpose_eight.h"
#include "model/widened.h"

#ifdef TANDEM_AVX2
#include <immintrin.h>
#else
#include <stdexcept>
#endif

namespace tandem {
#ifdef TANDEM_AVX2
namespace {

constexpr int64_t kEight = 8;

TANDEM_AVX2 inline __m256i LoadSixteen(const uint16_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

// bf16, as bits, are in the order of their values.
TANDEM_AVX2 inline __m256i MaxMagnitudes(__m256i largest, const uint16_t* x) {
  return _mm256_max_epu16(
      largest, _mm256_and_si256(LoadSixteen(x), _mm256_set1_epi16(0x7fff)));
}

// Of all 16.
TANDEM_AVX2 uint16_t LargestOfSixteen(__m256i bits) {
  const __m128i eight = _mm_max_epu16(_mm256_castsi256_si128(bits),
                                      _mm256_extracti128_si256(bits, 1));
  const __m128i ones = _mm_set1_epi16(-1);
  const int least =
      _mm_cvtsi128_si32(_mm_minpos_epu16(_mm_xor_si128(eight, ones)));
  return static_cast<uint16_t>(~least);
}

// How the columns of a panel are rounded.
struct ColumnRoundings {
  alignas(32) float factors[kPanelColumns];

  ColumnRoundings(const uint16_t* largest, float* scales) {
    for (int64_t c = 0; c < kPanelColumns; ++c) {
      const Rounding rounding = RoundingOf(Widened(largest[c]));
      factors[c] = rounding.factor;
      scales[c] = rounding.scale;
    }
  }
};

struct SixteenIntegers {
  __m256i low, high;
};

// In each half of the register, the lower four bf16 and the upper four.
TANDEM_AVX2 inline SixteenIntegers RoundSixteen(__m256i x, __m256 low_factors,
                                                __m256 high_factors) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256 low = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, x));
  const __m256 high = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, x));
  return {_mm256_cvtps_epi32(_mm256_mul_ps(low, low_factors)),
          _mm256_cvtps_epi32(_mm256_mul_ps(high, high_factors))};
}

TANDEM_AVX2 inline void StorePairs(__m256i first, __m256i second,
                                   int16_t* values) {
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(values),
      _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa));
}

// A row's 16 columns in order: four by four they are 0, 2, 1, 3 before.
TANDEM_AVX2 inline SixteenIntegers RoundRow(const uint16_t* row, __m256 low,
                                            __m256 high) {
  return RoundSixteen(_mm256_permute4x64_epi64(LoadSixteen(row), 0xd8), low,
                      high);
}

// Sixteen elements of a column, as eight pairs.
TANDEM_AVX2 inline __m256 RoundPairs(const uint16_t* column, __m256 factor) {
  const SixteenIntegers rounded =
      RoundSixteen(LoadSixteen(column), factor, factor);
  return _mm256_castsi256_ps(_mm256_packs_epi32(rounded.low, rounded.high));
}

// Eight columns, sixteen rows of them.
TANDEM_AVX2 inline void RoundColumnsOfPairs(const uint16_t* matrix,
                                            int64_t stride,
                                            const float* factors,
                                            int16_t* values) {
  __m256 pairs[kEight];
  for (int64_t c = 0; c < kEight; ++c)
    pairs[c] =
        RoundPairs(matrix + c * stride, _mm256_broadcast_ss(factors + c));
  TransposeEight(pairs);
  for (int64_t line = 0; line < kEight; ++line)
    _mm256_storeu_ps(reinterpret_cast<float*>(values + line * kPairLine),
                     pairs[line]);
}

}  // namespace

TANDEM_AVX2 void RoundBfloat16Columns(const uint16_t* matrix, int64_t stride,
                                      int64_t depth, int16_t* values,
                                      float* scales) {
  __m256i largest = _mm256_setzero_si256();
  for (int64_t i = 0; i < depth; ++i) {
    const uint16_t* row = matrix + i * stride;
    // The next panel's, which the processor does not see coming.
    _mm_prefetch(reinterpret_cast<const char*>(row + 2 * kPanelColumns),
                 _MM_HINT_T0);
    largest = MaxMagnitudes(largest, row);
  }
  alignas(32) uint16_t magnitudes[kPanelColumns];
  _mm256_store_si256(reinterpret_cast<__m256i*>(magnitudes), largest);
  const ColumnRoundings roundings(magnitudes, scales);
  const __m256 low = _mm256_load_ps(roundings.factors);
  const __m256 high = _mm256_load_ps(roundings.factors + kEight);
  for (int64_t i = 0; i < depth; i += 2, values += kPairLine) {
    const SixteenIntegers first = RoundRow(matrix + i * stride, low, high);
    SixteenIntegers second = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    if (i + 1 < depth) second = RoundRow(matrix + (i + 1) * stride, low, high);
    StorePairs(first.low, second.low, values);
    StorePairs(first.high, second.high, values + kPanelColumns);
  }
}

TANDEM_AVX2 void RoundBfloat16Rows(const uint16_t* matrix, int64_t stride,
                                   int64_t depth, int16_t* values,
                                   float* scales) {
  uint16_t magnitudes[kPanelColumns];
  for (int64_t c = 0; c < kPanelColumns; ++c) {
    __m256i largest = _mm256_setzero_si256();
    for (int64_t i = 0; i < depth; i += kBfloat16RowsStep)
      largest = MaxMagnitudes(largest, matrix + c * stride + i);
    magnitudes[c] = LargestOfSixteen(largest);
  }
  const ColumnRoundings roundings(magnitudes, scales);
  for (int64_t i = 0; i < depth; i += kBfloat16RowsStep)
    for (int64_t c = 0; c < kPanelColumns; c += kEight)
      RoundColumnsOfPairs(matrix + c * stride + i, stride,
                          roundings.factors + c,
                          values + i * kPanelColumns + 2 * c);
}
#else
void RoundBfloat16Columns(const uint16_t*, int64_t, int64_t, int16_t*, float*) {
  throw std::logic_error("16-bit products need AVX2");
}
void RoundBfloat16Rows(const uint16_t*, int64_t, int64_t, int16_t*, float*) {
  throw std::logic_error("16-bit products need AVX2");
}
#endif

}  // namespace tandem
