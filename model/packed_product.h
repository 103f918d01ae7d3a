// Sums of matrix products: LibTorch's, or our own where those are slower, on
// processors with AVX2 but without AVX-512.
//
// Our own pack a matrix into fp32 panels that stay in the cache, so bf16 costs
// nothing: half the memory, the same speed. See model/product_kernel.h.
#ifndef TANDEM_MODEL_PACKED_PRODUCT_H_
#define TANDEM_MODEL_PACKED_PRODUCT_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace tandem {

// x [rows, depth] times a matrix [depth, columns].
struct ProductTerm {
  at::Tensor x, matrix;
};

// True on processors with AVX2 but without AVX-512.
bool PrefersPacking();

// True where our own product is faster: fp32 times fp32 or bf16, most shapes.
bool PacksWell(const ProductTerm& term);

// out [rows, columns] = or += the sum of the terms, of which there is at least
// one. A row's neighbouring elements of `out` are next to each other. Factors
// are of one type unless PacksWell.
void SumOfProducts(const std::vector<ProductTerm>& terms, bool accumulate,
                   at::Tensor& out);

// The product of one term, in its factors' type: [rows, columns].
at::Tensor Product(const at::Tensor& x, const at::Tensor& matrix);

}  // namespace tandem

#endif  // TANDEM_MODEL_PACKED_PRODUCT_H_
