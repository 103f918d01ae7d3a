// Products of fp32 activations and frozen weights with both rounded to 16-bit
// integers (model/int16_kernel.h): how bf16 weights are multiplied where the
// processor has AVX2 but not AVX-512.
#ifndef TANDEM_MODEL_INT16_PRODUCT_H_
#define TANDEM_MODEL_INT16_PRODUCT_H_

#include <ATen/core/Tensor.h>

namespace tandem {

// With fewer rows of activations, rounding a matrix costs more than it saves.
inline constexpr int64_t kLeastInt16Rows = 32;

// out [rows, columns] = or += x [rows, depth] matrix [depth, columns]: x fp32,
// the matrix fp32 or bf16, out fp32 with the elements of a row next to each
// other. Needs HasAvx2(). Each element of `out` is off by no more than the
// roundings of its row's and its column's blocks allow; it does not depend on
// the number of threads.
void Int16Product(const at::Tensor& x, const at::Tensor& matrix,
                  bool accumulate, at::Tensor& out);

}  // namespace tandem

#endif  // TANDEM_MODEL_INT16_PRODUCT_H_
