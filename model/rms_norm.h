// Root-mean-square normalisation (Zhang and Sennrich, 2019).
#ifndef TANDEM_MODEL_RMS_NORM_H_
#define TANDEM_MODEL_RMS_NORM_H_

#include <ATen/core/Tensor.h>

namespace tandem {

// x / sqrt(mean(x^2) + epsilon) * weight over the last dimension, computed in
// fp32 (fp64 for fp64) and rounded once. x: [rows, width]; weight: [width] of
// x's dtype, frozen. Differentiable in x.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                   double epsilon);

}  // namespace tandem

#endif  // TANDEM_MODEL_RMS_NORM_H_
