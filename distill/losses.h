// Distillation losses, each a free function of tensors, differentiable in the
// student's logits.
//
// p is the teacher, q the student, both at temperature T; no factor T^2 is
// applied. Every loss is summed over rows and is zero where p = q. Formulas:
// Hinton et al. 2015 (forward KL), Gu et al. 2024 (reverse KL), Agarwal et al.
// 2024 (generalised Jensen-Shannon: m = beta p + (1 - beta) q; beta KL(p||m) +
// (1 - beta) KL(q||m); beta = 0 is KL(p||q), beta = 1 is KL(q||p)).
//
// Numeric code: throws std::invalid_argument for a temperature or beta out of
// range, c10::Error for shapes that do not fit.
#ifndef TANDEM_DISTILL_LOSSES_H_
#define TANDEM_DISTILL_LOSSES_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "common/status.h"

namespace tandem {

// Both logits: [rows, vocabulary], fp32 or fp64. A scalar. Logits of minus
// infinity are tokens that cannot occur.
at::Tensor ForwardKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature = 1);
at::Tensor ReverseKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature = 1);
at::Tensor GeneralizedJsd(const at::Tensor& student_logits,
                          const at::Tensor& teacher_logits, double beta,
                          double temperature = 1);

// Throw std::invalid_argument, as every loss does: a temperature is above 0 and
// finite, beta from 0 to 1.
void CheckTemperature(double temperature);
void CheckBeta(double beta);

// InvalidArgument lists the known names: forward_kl, reverse_kl, jsd.
enum class DistillationLoss { kForwardKl, kReverseKl, kGeneralizedJsd };
StatusOr<DistillationLoss> ParseDistillationLoss(const std::string& name);

}  // namespace tandem

#endif  // TANDEM_DISTILL_LOSSES_H_
