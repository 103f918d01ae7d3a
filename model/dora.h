// Weight-decomposed low-rank adaptation (Liu et al., 2024, "DoRA").
#ifndef TANDEM_MODEL_DORA_H_
#define TANDEM_MODEL_DORA_H_

#include <ATen/core/Tensor.h>

#include <mutex>

#include "model/frozen_weight.h"

namespace tandem {

// Rows of zeros count as this long, so that nothing is divided by zero.
inline constexpr double kSmallestRowNorm = 1e-12;

// ||W + scale B A|| of every row: [out] fp64, at least kSmallestRowNorm. The
// sum is never formed: with w, b the rows of W and B the square is
//   |w|^2 + 2 scale b . (A w) + scale^2 b A A^T b.
// weight: [out, in]; row_squares: |w|^2, [out] fp64; a: [r, in]; b: [out, r].
at::Tensor DoraRowNorms(const FrozenWeight& weight,
                        const at::Tensor& row_squares, const at::Tensor& a,
                        const at::Tensor& b, double scale);

// The squares of the norms of a frozen matrix's rows, computed when first asked
// for. Thread-safe.
class RowSquaresCache {
 public:
  // [out] fp64. REQUIRES: the same weight each time.
  const at::Tensor& Of(const FrozenWeight& weight);

 private:
  std::once_flag once_;
  at::Tensor squares_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_DORA_H_
