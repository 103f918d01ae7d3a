#include "model/product_kernel.h"

#include <algorithm>

#include "model/instruction_set.h"
#include "model/widened.h"

#ifdef TANDEM_AVX2
#include <immintrin.h>
#else
#include <stdexcept>
#endif

namespace tandem {
#ifdef TANDEM_AVX2
namespace {

constexpr int64_t kLanes = 8;

TANDEM_AVX2 inline __m256 LoadLanes(const float* x) {
  return _mm256_loadu_ps(x);
}
TANDEM_AVX2 inline __m256 LoadLanes(const uint16_t* x) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

TANDEM_AVX2 inline __m256 LowPairs(__m256 a, __m256 b) {
  return _mm256_shuffle_ps(a, b, 0x44);
}
TANDEM_AVX2 inline __m256 HighPairs(__m256 a, __m256 b) {
  return _mm256_shuffle_ps(a, b, 0xee);
}

// Eight by eight, in place.
TANDEM_AVX2 inline void Transpose(__m256* r) {
  __m256 t[kLanes], u[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4) {
    for (int half = 0; half < 2; ++half) {
      u[i + 2 * half] = LowPairs(t[i + half], t[i + 2 + half]);
      u[i + 2 * half + 1] = HighPairs(t[i + half], t[i + 2 + half]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
  }
}

// Eight elements of each of 16 rows.
template <typename T>
TANDEM_AVX2 inline void PackSquares(const T* matrix, int64_t stride,
                                    float* panel) {
  for (int64_t first = 0; first < kPanelColumns; first += kLanes) {
    __m256 lanes[kLanes];
    for (int64_t i = 0; i < kLanes; ++i)
      lanes[i] = LoadLanes(matrix + (first + i) * stride);
    Transpose(lanes);
    for (int64_t i = 0; i < kLanes; ++i)
      _mm256_store_ps(panel + i * kPanelColumns + first, lanes[i]);
  }
}

// The compiler keeps the sums in registers only where it unrolls all of this.
template <int kRows>
TANDEM_AVX2 inline void MultiplyRows(const StridedMatrix& x,
                                     const float* columns,
                                     int64_t columns_stride, int64_t depth,
                                     bool accumulate, float* out,
                                     int64_t out_stride) {
  __m256 low[kRows], high[kRows];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    low[r] = high[r] = _mm256_setzero_ps();
    // What is added to is a page apart: asked for now, it is there at the end.
    _mm_prefetch(out + r * out_stride, _MM_HINT_T0);
    _mm_prefetch(out + r * out_stride + kPanelColumns - 1, _MM_HINT_T0);
  }
  const float* element = x.data;
  for (int64_t i = 0; i < depth; ++i) {
    const __m256 left = _mm256_loadu_ps(columns);
    const __m256 right = _mm256_loadu_ps(columns + kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_broadcast_ss(element + r * x.row_stride);
      low[r] = _mm256_fmadd_ps(value, left, low[r]);
      high[r] = _mm256_fmadd_ps(value, right, high[r]);
    }
    element += x.column_stride;
    columns += columns_stride;
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    float* row = out + r * out_stride;
    if (accumulate) {
      low[r] = _mm256_add_ps(low[r], _mm256_loadu_ps(row));
      high[r] = _mm256_add_ps(high[r], _mm256_loadu_ps(row + kLanes));
    }
    _mm256_storeu_ps(row, low[r]);
    _mm256_storeu_ps(row + kLanes, high[r]);
  }
}

template <typename T>
TANDEM_AVX2 void PackColumnsOf(const T* matrix, int64_t stride, int64_t columns,
                               int64_t depth, float* panel) {
  for (int64_t i = 0; i < depth; ++i, panel += kPanelColumns) {
    const T* row = matrix + i * stride;
    if (columns == kPanelColumns) {
      _mm256_store_ps(panel, LoadLanes(row));
      _mm256_store_ps(panel + kLanes, LoadLanes(row + kLanes));
    } else {
      std::transform(row, row + columns, panel,
                     [](T value) { return Widened(value); });
      std::fill(panel + columns, panel + kPanelColumns, 0.0f);
    }
  }
}

template <typename T>
TANDEM_AVX2 void PackRowsOf(const T* matrix, int64_t stride, int64_t columns,
                            int64_t depth, float* panel) {
  int64_t i = 0;
  if (columns == kPanelColumns)
    for (; i + kLanes <= depth; i += kLanes)
      PackSquares(matrix + i, stride, panel + i * kPanelColumns);
  for (; i < depth; ++i)
    for (int64_t c = 0; c < kPanelColumns; ++c)
      panel[i * kPanelColumns + c] =
          c < columns ? Widened(matrix[c * stride + i]) : 0.0f;
}

}  // namespace

void PackColumns(const float* matrix, int64_t stride, int64_t columns,
                 int64_t depth, float* panel) {
  PackColumnsOf(matrix, stride, columns, depth, panel);
}
void PackColumns(const uint16_t* matrix, int64_t stride, int64_t columns,
                 int64_t depth, float* panel) {
  PackColumnsOf(matrix, stride, columns, depth, panel);
}

void PackRows(const float* matrix, int64_t stride, int64_t columns,
              int64_t depth, float* panel) {
  PackRowsOf(matrix, stride, columns, depth, panel);
}
void PackRows(const uint16_t* matrix, int64_t stride, int64_t columns,
              int64_t depth, float* panel) {
  PackRowsOf(matrix, stride, columns, depth, panel);
}

void MultiplyByPanel(const StridedMatrix& x, int64_t rows, const float* columns,
                     int64_t columns_stride, int64_t depth, bool accumulate,
                     float* out, int64_t out_stride) {
  int64_t r = 0;
  const auto multiply = [&](auto multiply_rows, int64_t count) {
    for (; r + count <= rows; r += count)
      multiply_rows(x.At(r, 0), columns, columns_stride, depth, accumulate,
                    out + r * out_stride, out_stride);
  };
  multiply(MultiplyRows<kKernelRows>, kKernelRows);
  multiply(MultiplyRows<2>, 2);
  multiply(MultiplyRows<1>, 1);
}
#else
namespace {

[[noreturn]] void Refuse() { throw std::logic_error("packing needs AVX2"); }

}  // namespace

void PackColumns(const float*, int64_t, int64_t, int64_t, float*) { Refuse(); }
void PackColumns(const uint16_t*, int64_t, int64_t, int64_t, float*) {
  Refuse();
}
void PackRows(const float*, int64_t, int64_t, int64_t, float*) { Refuse(); }
void PackRows(const uint16_t*, int64_t, int64_t, int64_t, float*) { Refuse(); }
void MultiplyByPanel(const StridedMatrix&, int64_t, const float*, int64_t,
                     int64_t, bool, float*, int64_t) {
  Refuse();
}
#endif

}  // namespace tandem
