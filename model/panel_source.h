// A matrix as products take it: some of its rows, packed panel by panel.
#ifndef TANDEM_MODEL_PANEL_SOURCE_H_
#define TANDEM_MODEL_PANEL_SOURCE_H_

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "model/product_kernel.h"

namespace tandem {

// True where the elements of a row are next to each other.
inline bool HasNeighbours(const at::Tensor& x) {
  return x.stride(1) == 1 || x.size(1) == 1;
}

// With rows or columns next to each other; a copy where x has neither.
inline at::Tensor WithNeighbours(const at::Tensor& x) {
  return HasNeighbours(x) || HasNeighbours(x.t()) ? x : x.contiguous();
}

// Rows [first, first + depth) of an fp32 or bf16 matrix WithNeighbours, which
// must live as long.
struct PanelSource {
  PanelSource(const at::Tensor& matrix, int64_t from, int64_t rows)
      : first(from),
        depth(rows),
        columns_(matrix.size(1)),
        row_stride_(matrix.stride(0)),
        column_stride_(HasNeighbours(matrix) ? 1 : matrix.stride(1)),
        is_float_(matrix.scalar_type() == at::kFloat),
        data_(matrix.const_data_ptr()) {}

  int64_t first, depth;

  int64_t ColumnsFrom(int64_t column) const {
    return std::min(kPanelColumns, columns_ - column);
  }
  // Where all columns of a panel are there, and bf16.
  bool IsWholeBfloat16(int64_t column) const {
    return !is_float_ && ColumnsFrom(column) == kPanelColumns;
  }
  // Then: its first element, from the `skip`th of these rows on; whether
  // elements of a row are neighbours, else those of a column are; and how far
  // apart lines of neighbours are.
  const uint16_t* Bfloat16(int64_t skip, int64_t column) const {
    return At<uint16_t>(first + skip, column);
  }
  bool HasNeighboursInRows() const { return column_stride_ == 1; }
  int64_t line_stride() const {
    return HasNeighboursInRows() ? row_stride_ : column_stride_;
  }
  // Columns from `column` on of `rows` rows from the `skip`th of these on, with
  // zeros behind the last column: a panel [rows, kPanelColumns].
  void Pack(int64_t skip, int64_t rows, int64_t column, float* panel) const {
    is_float_ ? PackAs<float>(first + skip, rows, column, panel)
              : PackAs<uint16_t>(first + skip, rows, column, panel);
  }

 private:
  template <typename T>
  void PackAs(int64_t row, int64_t rows, int64_t column, float* panel) const {
    const T* data = At<T>(row, column);
    if (HasNeighboursInRows()) {
      PackColumns(data, row_stride_, ColumnsFrom(column), rows, panel);
    } else {
      PackRows(data, column_stride_, ColumnsFrom(column), rows, panel);
    }
  }
  template <typename T>
  const T* At(int64_t row, int64_t column) const {
    return static_cast<const T*>(data_) + row * row_stride_ +
           column * column_stride_;
  }

  int64_t columns_, row_stride_, column_stride_;
  bool is_float_;
  const void* data_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PANEL_SOURCE_H_
