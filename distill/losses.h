// Distillation losses, each a free function of tensors, differentiable in the
// student's logits.
//
// p is the teacher, q the student, both at temperature T; no factor T^2 is
// applied. Every loss is summed over rows and is zero where p = q. Formulas:
// Hinton et al. 2015 (forward KL), Gu et al. 2024 (reverse KL), Agarwal et al.
// 2024 (generalised Jensen-Shannon: m = beta p + (1 - beta) q; beta KL(p||m) +
// (1 - beta) KL(q||m); beta = 0 is KL(p||q), beta = 1 is KL(q||p)).
#ifndef TANDEM_DISTILL_LOSSES_H_
#define TANDEM_DISTILL_LOSSES_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "common/status.h"

namespace tandem {

// Both logits: [rows, vocabulary], fp32 or fp64. A scalar.
at::Tensor ForwardKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature = 1);
at::Tensor ReverseKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature = 1);
at::Tensor GeneralizedJsd(const at::Tensor& student_logits,
                          const at::Tensor& teacher_logits, double beta,
                          double temperature = 1);

// A teacher's distribution at one temperature as its k most likely tokens and
// the mass of all others.
struct TopKTargets {
  at::Tensor indices;            // [rows, k] int64 (int32 in files)
  at::Tensor log_probabilities;  // [rows, k] fp32, of the full distribution at
                                 // `temperature`
  at::Tensor left_over;          // [rows] fp32: 1 - sum of the k probabilities
};
TopKTargets TopKOf(const at::Tensor& teacher_logits, int64_t k,
                   double temperature = 1);

// The same losses over k + 1 outcomes: the top k tokens and one bucket for all
// others, for teacher and student alike. A lower bound of the full loss (data
// processing), equal to it as k reaches the vocabulary.
enum class DistillationLoss { kForwardKl, kReverseKl, kGeneralizedJsd };
// InvalidArgument lists the known names: forward_kl, reverse_kl, jsd.
StatusOr<DistillationLoss> ParseDistillationLoss(const std::string& name);
at::Tensor TopKLoss(DistillationLoss loss, const at::Tensor& student_logits,
                    const TopKTargets& targets, double temperature = 1,
                    double jsd_beta = 0.5);

}  // namespace tandem

#endif  // TANDEM_DISTILL_LOSSES_H_
