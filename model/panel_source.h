// A matrix as products take it: some of its rows, packed panel by panel.
#ifndef TANDEM_MODEL_PANEL_SOURCE_H_
#define TANDEM_MODEL_PANEL_SOURCE_H_

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "model/product_kernel.h"

namespace tandem {

constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// True where the elements of a row are next to each other.
inline bool HasNeighbours(const at::Tensor& x) {
  return x.stride(1) == 1 || x.size(1) == 1;
}

// With rows or columns next to each other; a copy where x has neither.
inline at::Tensor WithNeighbours(const at::Tensor& x) {
  return HasNeighbours(x) || HasNeighbours(x.t()) ? x : x.contiguous();
}

// Rows [first, first + depth) of a matrix, fp32 or bf16, WithNeighbours.
struct PanelSource {
  at::Tensor matrix;
  int64_t first, depth;

  int64_t ColumnsFrom(int64_t column) const {
    return std::min(kPanelColumns, matrix.size(1) - column);
  }
  // Columns from `column` on, with zeros behind the last: a panel
  // [depth, kPanelColumns].
  void Pack(int64_t column, float* panel) const {
    if (matrix.scalar_type() == at::kFloat) {
      PackAs(matrix.const_data_ptr<float>(), column, panel);
    } else {
      PackAs(static_cast<const uint16_t*>(matrix.const_data_ptr()), column,
             panel);
    }
  }

 private:
  template <typename T>
  void PackAs(const T* data, int64_t column, float* panel) const {
    const int64_t row_stride = matrix.stride(0), stride = matrix.stride(1);
    if (HasNeighbours(matrix)) {
      PackColumns(data + first * row_stride + column, row_stride,
                  ColumnsFrom(column), depth, panel);
    } else {
      PackRows(data + column * stride + first, stride, ColumnsFrom(column),
               depth, panel);
    }
  }
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PANEL_SOURCE_H_
