// Products with a frozen weight matrix, in whatever it is stored.
#ifndef TANDEM_MODEL_FROZEN_PRODUCT_H_
#define TANDEM_MODEL_FROZEN_PRODUCT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/frozen_weight.h"
#include "model/packed_product.h"

namespace tandem {

// Activations are fp32 (fp64 in gradient checks), and so are sums of products.
// Where the processor multiplies bf16, both factors are rounded to it for
// weights in bf16 or in blocks. Where it has AVX2 but not AVX-512, and there
// are rows enough, bf16 weights and activations become integers of 13 bits
// (model/int16_product.h), which round less. Everything else is multiplied in
// fp32, tile by tile where it has to be widened: only a weight's own rounding
// is felt.
//
// Not differentiable: callers write their own backward pass.

// AVX512-BF16 (and so AMX).
bool MultipliesBfloat16();
// True where bf16 weights are multiplied faster than fp32 ones.
bool PrefersSixteenBits();

// x W^T and the sum of `more`, terms in x's dtype: x [rows, in], weight
// [out, in] -> [rows, out] of x's dtype.
at::Tensor TimesTransposed(const at::Tensor& x, const FrozenWeight& weight,
                           const std::vector<ProductTerm>& more = {});
// Into `product` [rows, out].
void TimesTransposedInto(at::Tensor& product, const at::Tensor& x,
                         const FrozenWeight& weight,
                         const std::vector<ProductTerm>& more = {});

// The same, x and the result never rounded: among logits in bf16, two are the
// largest at 2% of all positions.
at::Tensor TimesTransposedExactly(const at::Tensor& x,
                                  const FrozenWeight& weight);

// |w|^2 of every row of `weight` [out, in]: [out] fp64.
at::Tensor RowSquares(const FrozenWeight& weight);

// sum += x W: x [rows, out], weight [out, in], sum [rows, in] of x's dtype.
void AddProduct(const at::Tensor& x, const FrozenWeight& weight,
                at::Tensor& sum);

}  // namespace tandem

#endif  // TANDEM_MODEL_FROZEN_PRODUCT_H_
