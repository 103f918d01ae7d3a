#include "model/int16_kernel.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "model/instruction_set.h"
#include "model/six_rows_assembler.h"

#ifdef TANDEM_AVX2
#include <immintrin.h>
#else
#include <stdexcept>
#endif

namespace tandem {

Rounding RoundingOf(float largest) {
  constexpr float kLeastMagnitude = 1e-30f;
  if (!(largest <= std::numeric_limits<float>::max()))
    return {0, std::numeric_limits<float>::quiet_NaN()};
  if (largest < kLeastMagnitude) return {0, 0};
  return {kMaxInt16 / largest, largest / kMaxInt16};
}

#ifdef TANDEM_AVX2
namespace {

constexpr int64_t kInt16Lanes = 8;
TANDEM_AVX2 inline __m256i Magnitudes(const float* x) {
  return _mm256_and_si256(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
      _mm256_set1_epi32(std::numeric_limits<int32_t>::max()));
}

// Bits of magnitudes are in the order of magnitudes, infinity and NaN last.
TANDEM_AVX2 float LargestOf(__m256i magnitudes) {
  alignas(32) int32_t bits[kInt16Lanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(bits), magnitudes);
  return std::bit_cast<float>(*std::max_element(bits, bits + kInt16Lanes));
}

TANDEM_AVX2 inline __m256i Rounded(const float* x, __m256 factor) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), factor));
}

// Eight numbers; what `pack` has no room for never comes, they are small.
TANDEM_AVX2 inline void RoundEight(const float* x, __m256 factor,
                                   int16_t* values) {
  const __m256i integers = Rounded(x, factor);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(values),
                   _mm_packs_epi32(_mm256_castsi256_si128(integers),
                                   _mm256_extracti128_si256(integers, 1)));
}

// depth is a multiple of eight.
TANDEM_AVX2 float RoundWholeSteps(const float* x, int64_t depth,
                                  int16_t* values) {
  __m256i largest = _mm256_setzero_si256();
  for (int64_t i = 0; i < depth; i += kInt16Step)
    largest = _mm256_max_epi32(largest, Magnitudes(x + i));
  const Rounding rounding = RoundingOf(LargestOf(largest));
  const __m256 factor = _mm256_set1_ps(rounding.factor);
  for (int64_t i = 0; i < depth; i += kInt16Step)
    RoundEight(x + i, factor, values + i);
  return rounding.scale;
}

// Sums of six rows times a panel.
struct Int16Sums {
  __m256i low[kKernelRows], high[kKernelRows];
};

// Pair `kPair` of elements of six rows, times its line of a panel: in
// assembler, as in product_kernel.cc.
#define TANDEM_ADD_ROW(address, low, high) \
  "vpbroadcastd %c[element](" address      \
  "), %%ymm15\n"                           \
  "vpmaddwd %%ymm13, %%ymm15, %%ymm12\n"   \
  "vpmaddwd %%ymm14, %%ymm15, %%ymm15\n"   \
  "vpaddd %%ymm12, %[" low "], %[" low     \
  "]\n"                                    \
  "vpaddd %%ymm15, %[" high "], %[" high "]\n"
template <int kPair>
TANDEM_AVX2 inline void AddPair(const int16_t* row0, const int16_t* row3,
                                int64_t row_bytes, const int16_t* panel,
                                Int16Sums& sums) {
  // clang-format off
  asm("vmovdqu %c[line](%[panel]), %%ymm13\n"
      "vmovdqu %c[line]+32(%[panel]), %%ymm14\n"
      TANDEM_SIX_ROWS(TANDEM_ADD_ROW)
      : TANDEM_SIX_ROWS_OF(sums)
      : TANDEM_SIX_ROWS_AT(row0, row3, row_bytes),
        [panel] "r"(panel), [element] "i"(kPair * 2 * sizeof(int16_t)),
        [line] "i"(kPair * kPairLine * sizeof(int16_t))
      : "memory", "xmm12", "xmm13", "xmm14", "xmm15");
  // clang-format on
}
#undef TANDEM_ADD_ROW

TANDEM_AVX2 inline void SumBlock(const int16_t* row0, int64_t stride,
                                 const int16_t* panel, int64_t depth,
                                 Int16Sums& sums) {
#pragma GCC unroll 6
  for (int r = 0; r < kKernelRows; ++r)
    sums.low[r] = sums.high[r] = _mm256_setzero_si256();
  const int16_t* row3 = row0 + 3 * stride;
  const int64_t row_bytes = stride * static_cast<int64_t>(sizeof(int16_t));
  for (int64_t i = 0; i < depth; i += kInt16Step) {
    AddPair<0>(row0, row3, row_bytes, panel, sums);
    AddPair<1>(row0, row3, row_bytes, panel, sums);
    AddPair<2>(row0, row3, row_bytes, panel, sums);
    AddPair<3>(row0, row3, row_bytes, panel, sums);
    row0 += kInt16Step;
    row3 += kInt16Step;
    panel += kInt16Step * kPanelColumns;
  }
}

// Six rows of a product.
struct alignas(32) RowsTimesPanel {
  float sums[kKernelRows][kPanelColumns] = {};
};

TANDEM_AVX2 inline void AddScaled(__m256i integers, __m256 row_scale,
                                  __m256 column_scales, float* sums) {
  const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(integers), row_scale);
  _mm256_store_ps(sums,
                  _mm256_fmadd_ps(scaled, column_scales, _mm256_load_ps(sums)));
}

TANDEM_AVX2 void AddBlock(const Int16Rows& x, const Int16Panel& panel,
                          int64_t depth, RowsTimesPanel& product) {
  Int16Sums sums;
  SumBlock(x.values, x.stride, panel.values, depth, sums);
  const __m256 low = _mm256_loadu_ps(panel.scales);
  const __m256 high = _mm256_loadu_ps(panel.scales + kInt16Lanes);
#pragma GCC unroll 6
  for (int r = 0; r < kKernelRows; ++r) {
    const __m256 scale = _mm256_broadcast_ss(x.scales + r * x.scales_stride);
    AddScaled(sums.low[r], scale, low, product.sums[r]);
    AddScaled(sums.high[r], scale, high, product.sums[r] + kInt16Lanes);
  }
}

TANDEM_AVX2 void StoreRow(const float* sums, int64_t columns, bool accumulate,
                          float* out) {
  if (columns < kPanelColumns) {
    for (int64_t c = 0; c < columns; ++c)
      out[c] = sums[c] + (accumulate ? out[c] : 0);
    return;
  }
  for (int64_t c = 0; c < kPanelColumns; c += kInt16Lanes) {
    __m256 y = _mm256_load_ps(sums + c);
    if (accumulate) y = _mm256_add_ps(y, _mm256_loadu_ps(out + c));
    _mm256_storeu_ps(out + c, y);
  }
}

// Up to six rows.
TANDEM_AVX2 void MultiplySixRows(Int16Rows x, int64_t rows, Int16Panel panel,
                                 int64_t depth, int64_t columns,
                                 bool accumulate, float* out,
                                 int64_t out_stride) {
  for (int64_t r = 0; r < rows; ++r)  // a page apart: asked for now
    _mm_prefetch(out + r * out_stride, _MM_HINT_T0);
  RowsTimesPanel product;
  for (; depth > 0; depth -= kInt16Block) {
    AddBlock(x, panel, std::min(depth, kInt16Block), product);
    x.values += kInt16Block;
    ++x.scales;
    panel.values += kInt16Block * kPanelColumns;
    panel.scales += kPanelColumns;
  }
  for (int64_t r = 0; r < rows; ++r)
    StoreRow(product.sums[r], columns, accumulate, out + r * out_stride);
}

// Largest magnitudes of eight columns of a panel.
TANDEM_AVX2 __m256i LargestOfColumns(const float* panel, int64_t depth) {
  __m256i largest = Magnitudes(panel);
  for (int64_t i = 1; i < depth; ++i)
    largest = _mm256_max_epi32(largest, Magnitudes(panel + i * kPanelColumns));
  return largest;
}

// Eight columns of a panel.
TANDEM_AVX2 void RoundColumns(const float* panel, int64_t depth, __m256 factor,
                              int16_t* values) {
  for (int64_t i = 0; i < depth; i += 2, values += kPairLine) {
    const __m256i first = Rounded(panel + i * kPanelColumns, factor);
    const __m256i second =
        i + 1 < depth ? Rounded(panel + (i + 1) * kPanelColumns, factor)
                      : _mm256_setzero_si256();
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(values),
        _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa));
  }
}

TANDEM_AVX2 void RoundEightColumns(const float* panel, int64_t depth,
                                   int16_t* values, float* scales) {
  alignas(32) float largest[kInt16Lanes];
  alignas(32) float factors[kInt16Lanes];
  _mm256_store_ps(largest, _mm256_castsi256_ps(LargestOfColumns(panel, depth)));
  for (int64_t c = 0; c < kInt16Lanes; ++c) {
    const Rounding rounding = RoundingOf(largest[c]);
    factors[c] = rounding.factor;
    scales[c] = rounding.scale;
  }
  RoundColumns(panel, depth, _mm256_load_ps(factors), values);
}

}  // namespace

float RoundBlock(const float* x, int64_t depth, int16_t* values) {
  if (depth % kInt16Step == 0) return RoundWholeSteps(x, depth, values);
  float padded[kInt16Block] = {};
  std::copy_n(x, depth, padded);
  return RoundWholeSteps(padded, Int16Depth(depth), values);
}

void RoundPanelBlock(const float* panel, int64_t depth, int16_t* values,
                     float* scales) {
  for (int64_t first = 0; first < kPanelColumns; first += kInt16Lanes)
    RoundEightColumns(panel + first, depth, values + 2 * first, scales + first);
}

void MultiplyByInt16Panel(const Int16Rows& x, int64_t rows,
                          const Int16Panel& panel, int64_t depth,
                          int64_t columns, bool accumulate, float* out,
                          int64_t out_stride) {
  for (int64_t r = 0; r < rows; r += kKernelRows) {
    const Int16Rows six = {x.values + r * x.stride,
                           x.scales + r * x.scales_stride, x.stride,
                           x.scales_stride};
    MultiplySixRows(six, std::min(kKernelRows, rows - r), panel, depth, columns,
                    accumulate, out + r * out_stride, out_stride);
  }
}
#else
namespace {

[[noreturn]] void RefuseInt16() {
  throw std::logic_error("16-bit products need AVX2");
}

}  // namespace

float RoundBlock(const float*, int64_t, int16_t*) { RefuseInt16(); }
void RoundPanelBlock(const float*, int64_t, int16_t*, float*) { RefuseInt16(); }
void MultiplyByInt16Panel(const Int16Rows&, int64_t, const Int16Panel&, int64_t,
                          int64_t, bool, float*, int64_t) {
  RefuseInt16();
}
#endif

}  // namespace tandem
