// The innermost part of a matrix product whose factors are rounded to 16 bits
// in blocks that share a scale (block floating point), on AVX2: one instruction
// multiplies 16 pairs where fp32 manages eight.
//
// Half a step is the largest magnitude of the block over 8,190, where bf16
// rounds every number by up to 1/512 of itself.
#ifndef TANDEM_MODEL_INT16_KERNEL_H_
#define TANDEM_MODEL_INT16_KERNEL_H_

#include <cstdint>
#include <limits>

#include "model/product_kernel.h"

namespace tandem {

// Elements, next to each other in the inner dimension, that share a scale. Sums
// of so many products fit 32 bits.
inline constexpr int64_t kInt16Block = 128;
inline constexpr int kMaxInt16 = 4095;
static_assert(kInt16Block * kMaxInt16 * kMaxInt16 <=
              std::numeric_limits<int32_t>::max());
// Depths are rounded up to what the kernel reads at a time: rows with zeros,
// panels with anything.
inline constexpr int64_t kInt16Step = 8;

// int16_t in a line of a panel: a pair of each column.
inline constexpr int64_t kPairLine = 2 * kPanelColumns;

constexpr int64_t Int16Depth(int64_t depth) {
  return CeilDivide(depth, kInt16Step) * kInt16Step;
}

// All of these need HasAvx2(). Strides are in elements. A block that holds a
// number which is not finite has the scale NaN; one whose magnitudes are below
// 1e-30 is zero.

// What numbers of this largest magnitude are multiplied by to be at most
// kMaxInt16, and what undoes that.
struct Rounding {
  float factor, scale;
};
Rounding RoundingOf(float largest);

// x [depth], at most a block: values [Int16Depth(depth)]; returns the scale.
float RoundBlock(const float* x, int64_t depth, int16_t* values);

// Of a panel [depth, kPanelColumns] of product_kernel.h, at most a block deep:
// values [(depth + 1) / 2, kPanelColumns, 2], that is, neighbours of a column
// side by side, and scales [kPanelColumns].
void RoundPanelBlock(const float* panel, int64_t depth, int16_t* values,
                     float* scales);

struct Int16Rows {
  const int16_t* values;  // [Int16Depth(depth)] of each row
  const float* scales;    // [blocks] of each row
  int64_t stride, scales_stride;
};
struct Int16Panel {
  const int16_t* values;  // [Int16Depth(depth) / 2, kPanelColumns, 2]
  const float* scales;    // [blocks, kPanelColumns]
};

// out [rows, columns] = or += x [rows, depth] panel [depth, columns]. Memory
// behind x's rows is read, six at a time, and ignored.
void MultiplyByInt16Panel(const Int16Rows& x, int64_t rows,
                          const Int16Panel& panel, int64_t depth,
                          int64_t columns, bool accumulate, float* out,
                          int64_t out_stride);

}  // namespace tandem

#endif  // TANDEM_MODEL_INT16_KERNEL_H_
