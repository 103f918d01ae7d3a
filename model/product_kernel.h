// The innermost part of a matrix product on AVX2: a few rows times a panel of
// packed columns, as in Goto and van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication" (ACM TOMS 2008).
#ifndef TANDEM_MODEL_PRODUCT_KERNEL_H_
#define TANDEM_MODEL_PRODUCT_KERNEL_H_

#include <cstdint>

namespace tandem {

inline constexpr int64_t kPanelColumns = 16;  // two registers
inline constexpr int64_t kKernelRows = 6;     // 12 of 16 registers hold sums

constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// All of these need BestInstructionSet() >= kAvx2. A uint16_t is the upper half
// of a float (bf16). Strides are in elements.

// panel [depth, kPanelColumns]: `columns` columns of a row-major matrix, then
// zeros. The panel is aligned to 32 bytes.
void PackColumns(const float* matrix, int64_t stride, int64_t columns,
                 int64_t depth, float* panel);
void PackColumns(const uint16_t* matrix, int64_t stride, int64_t columns,
                 int64_t depth, float* panel);

// The same of the transposed matrix: of `columns` rows, the first `depth`
// elements.
void PackRows(const float* matrix, int64_t stride, int64_t columns,
              int64_t depth, float* panel);
void PackRows(const uint16_t* matrix, int64_t stride, int64_t columns,
              int64_t depth, float* panel);

// Element (r, i) of a matrix in any layout.
struct StridedMatrix {
  const float* data;
  int64_t row_stride, column_stride;

  StridedMatrix At(int64_t row, int64_t column) const {
    return {data + row * row_stride + column * column_stride, row_stride,
            column_stride};
  }
};

// out [rows, kPanelColumns] = or += x [rows, depth] columns, where the latter,
// [depth, kPanelColumns], is a panel (then its stride is kPanelColumns) or a
// part of any row-major matrix.
void MultiplyByPanel(const StridedMatrix& x, int64_t rows, const float* columns,
                     int64_t columns_stride, int64_t depth, bool accumulate,
                     float* out, int64_t out_stride);

}  // namespace tandem

#endif  // TANDEM_MODEL_PRODUCT_KERNEL_H_
