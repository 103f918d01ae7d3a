#include "model/product_kernel.h"

#include <algorithm>

#include "model/instruction_set.h"
#include "model/six_rows_assembler.h"
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

constexpr int64_t kLanes = 8;
constexpr int64_t kCacheLine = 64;  // bytes

TANDEM_AVX2 inline __m256 LoadLanes(const float* x) {
  return _mm256_loadu_ps(x);
}
TANDEM_AVX2 inline __m256 LoadLanes(const uint16_t* x) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

// Eight elements of each of 16 rows.
template <typename T>
TANDEM_AVX2 inline void PackSquares(const T* matrix, int64_t stride,
                                    float* panel) {
  for (int64_t first = 0; first < kPanelColumns; first += kLanes) {
    __m256 lanes[kLanes];
    for (int64_t i = 0; i < kLanes; ++i)
      lanes[i] = LoadLanes(matrix + (first + i) * stride);
    TransposeEight(lanes);
    for (int64_t i = 0; i < kLanes; ++i)
      _mm256_store_ps(panel + i * kPanelColumns + first, lanes[i]);
  }
}

// Sums of rows times a panel; the compiler keeps them in registers only where
// it unrolls every loop over them.
template <int kRows>
struct Sums {
  __m256 low[kRows], high[kRows];
};

template <int kRows>
TANDEM_AVX2 inline void Clear(Sums<kRows>& sums, const float* out,
                              int64_t out_stride) {
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    sums.low[r] = sums.high[r] = _mm256_setzero_ps();
    // What is added to is a page apart: asked for now, it is there at the end.
    _mm_prefetch(out + r * out_stride, _MM_HINT_T0);
    _mm_prefetch(out + r * out_stride + kPanelColumns - 1, _MM_HINT_T0);
  }
}

template <int kRows>
TANDEM_AVX2 inline void Store(Sums<kRows>& sums, bool accumulate, float* out,
                              int64_t out_stride) {
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    float* row = out + r * out_stride;
    if (accumulate) {
      sums.low[r] = _mm256_add_ps(sums.low[r], _mm256_loadu_ps(row));
      sums.high[r] = _mm256_add_ps(sums.high[r], _mm256_loadu_ps(row + kLanes));
    }
    _mm256_storeu_ps(row, sums.low[r]);
    _mm256_storeu_ps(row + kLanes, sums.high[r]);
  }
}

// x's rows times `depth` lines of columns.
template <int kRows>
TANDEM_AVX2 inline void AddProduct(const StridedMatrix& x, const float* columns,
                                   int64_t columns_stride, int64_t depth,
                                   Sums<kRows>& sums) {
  const float* element = x.data;
  for (int64_t i = 0; i < depth; ++i) {
    const __m256 left = _mm256_loadu_ps(columns);
    const __m256 right = _mm256_loadu_ps(columns + kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m256 value = _mm256_broadcast_ss(element + r * x.row_stride);
      sums.low[r] = _mm256_fmadd_ps(value, left, sums.low[r]);
      sums.high[r] = _mm256_fmadd_ps(value, right, sums.high[r]);
    }
    element += x.column_stride;
    columns += columns_stride;
  }
}

// Element `kElement` of six rows of neighbouring elements, times its line of a
// panel. In assembler, since GCC keeps an address for every row and element
// where it unrolls the loop over elements, more than there are registers.
#define TANDEM_ADD_ROW(address, low, high) \
  "vbroadcastss %c[element](" address      \
  "), %%ymm15\n"                           \
  "vfmadd231ps %%ymm13, %%ymm15, %[" low   \
  "]\n"                                    \
  "vfmadd231ps %%ymm14, %%ymm15, %[" high "]\n"
template <int kElement>
TANDEM_AVX2 inline void AddElement(const float* row0, const float* row3,
                                   int64_t row_bytes, const float* panel,
                                   Sums<kKernelRows>& sums) {
  // clang-format off
  asm("vmovups %c[line](%[panel]), %%ymm13\n"
      "vmovups %c[line]+32(%[panel]), %%ymm14\n"
      TANDEM_SIX_ROWS(TANDEM_ADD_ROW)
      : TANDEM_SIX_ROWS_OF(sums)
      : TANDEM_SIX_ROWS_AT(row0, row3, row_bytes),
        [panel] "r"(panel), [element] "i"(kElement * sizeof(float)),
        [line] "i"(kElement * kPanelColumns * sizeof(float))
      : "memory", "xmm13", "xmm14", "xmm15");
  // clang-format on
}
#undef TANDEM_ADD_ROW

// Whole fours of the first `depth` elements; returns how many elements.
TANDEM_AVX2 inline int64_t AddFours(const StridedMatrix& x, const float* panel,
                                    int64_t depth, Sums<kKernelRows>& sums) {
  const float *row0 = x.data, *row3 = x.data + 3 * x.row_stride;
  const int64_t row_bytes = x.row_stride * static_cast<int64_t>(sizeof(float));
  int64_t i = 0;
  for (; i + 4 <= depth; i += 4) {
    AddElement<0>(row0, row3, row_bytes, panel, sums);
    AddElement<1>(row0, row3, row_bytes, panel, sums);
    AddElement<2>(row0, row3, row_bytes, panel, sums);
    AddElement<3>(row0, row3, row_bytes, panel, sums);
    row0 += 4;
    row3 += 4;
    panel += 4 * kPanelColumns;
  }
  return i;
}

template <int kRows>
TANDEM_AVX2 inline void MultiplyRows(const StridedMatrix& x,
                                     const float* columns,
                                     int64_t columns_stride, int64_t depth,
                                     bool accumulate, float* out,
                                     int64_t out_stride) {
  Sums<kRows> sums;
  Clear(sums, out, out_stride);
  int64_t done = 0;
  if constexpr (kRows == kKernelRows)
    if (x.column_stride == 1 && columns_stride == kPanelColumns)
      done = AddFours(x, columns, depth, sums);
  AddProduct(x.At(0, done), columns + done * columns_stride, columns_stride,
             depth - done, sums);
  Store(sums, accumulate, out, out_stride);
}

template <typename T>
TANDEM_AVX2 void PackColumnsOf(const T* matrix, int64_t stride, int64_t columns,
                               int64_t depth, float* panel) {
  for (int64_t i = 0; i < depth; ++i, panel += kPanelColumns) {
    const T* row = matrix + i * stride;
    // The next panel's, which the processor does not see coming.
    _mm_prefetch(reinterpret_cast<const char*>(row) + kCacheLine, _MM_HINT_T0);
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
