#include "model/dora.h"

#include <ATen/core/grad_mode.h>

#include "model/aten.h"
#include "model/frozen_product.h"

namespace tandem {

at::Tensor DoraRowNorms(const FrozenWeight& weight,
                        const at::Tensor& row_squares, const at::Tensor& a,
                        const at::Tensor& b, double scale) {
  const at::NoGradGuard no_grad;
  const at::Tensor b64 = b.to(at::kDouble);
  const at::Tensor w_a = TimesTransposedExactly(a, weight).t().to(at::kDouble);
  const at::Tensor a_a = at::mm(a, a.t()).to(at::kDouble);
  const at::Tensor cross = (b64 * w_a).sum(1);
  const at::Tensor added = (at::mm(b64, a_a) * b64).sum(1);
  const at::Tensor squares =
      row_squares + cross * (2 * scale) + added * (scale * scale);
  return squares.clamp_min(kSmallestRowNorm * kSmallestRowNorm).sqrt();
}

const at::Tensor& RowSquaresCache::Of(const FrozenWeight& weight) {
  std::call_once(once_, [&] { squares_ = RowSquares(weight); });
  return squares_;
}

}  // namespace tandem
