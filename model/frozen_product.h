// Products with a frozen weight matrix, in whatever it is stored.
#ifndef TANDEM_MODEL_FROZEN_PRODUCT_H_
#define TANDEM_MODEL_FROZEN_PRODUCT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/frozen_weight.h"
#include "model/packed_product.h"

namespace tandem {

// Activations are fp32 (fp64 in gradient checks). A bf16 weight is widened, and
// blocks are dequantised, in tiles or panels that stay in the cache, so that
// only their rounding, never that of an activation, is felt. Where the
// processor multiplies bf16 natively, activations, results and dequantised
// blocks are rounded to it; products are summed in fp32.
//
// Not differentiable: callers write their own backward pass.

// True where "bf16" is faster than "fp32": AVX512-BF16 (and so AMX).
bool MultipliesBfloat16();

// x W^T and the sum of `more`, terms in x's dtype: x [rows, in], weight
// [out, in] -> [rows, out] of x's dtype.
at::Tensor TimesTransposed(const at::Tensor& x, const FrozenWeight& weight,
                           const std::vector<ProductTerm>& more = {});
// Into `product` [rows, out].
void TimesTransposedInto(at::Tensor& product, const at::Tensor& x,
                         const FrozenWeight& weight,
                         const std::vector<ProductTerm>& more = {});

// The same, never rounded to bf16: among rounded logits, two are the largest at
// 2% of all positions.
at::Tensor TimesTransposedExactly(const at::Tensor& x,
                                  const FrozenWeight& weight);

// |w|^2 of every row of `weight` [out, in]: [out] fp64.
at::Tensor RowSquares(const FrozenWeight& weight);

// sum += x W: x [rows, out], weight [out, in], sum [rows, in] of x's dtype.
void AddProduct(const at::Tensor& x, const FrozenWeight& weight,
                at::Tensor& sum);

}  // namespace tandem

#endif  // TANDEM_MODEL_FROZEN_PRODUCT_H_
