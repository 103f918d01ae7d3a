// The losses of distill/losses.h against a teacher of whom only the k most
// likely tokens of each row are known.
#ifndef TANDEM_DISTILL_TOP_K_LOSS_H_
#define TANDEM_DISTILL_TOP_K_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "distill/losses.h"

namespace tandem {

// A teacher's distribution at one temperature as its k most likely tokens and
// the mass of all others.
struct TopKTargets {
  at::Tensor indices;            // [rows, k] int64 (int32 in files), distinct
  at::Tensor log_probabilities;  // [rows, k] of the full distribution at
                                 // `temperature`; the logits' dtype (fp32 in
                                 // files)
  at::Tensor left_over;          // [rows]: the mass of all others, summed from
                                 // them, so that no rounding makes it negative
  // Views of some rows.
  TopKTargets Rows(int64_t first, int64_t count) const;
};
// The `min(k, vocabulary)` most likely, in falling order.
TopKTargets TopKOf(const at::Tensor& teacher_logits, int64_t k,
                   double temperature = 1);

// The loss over k + 1 outcomes: the top k tokens and one bucket for all others,
// for teacher and student alike. A lower bound of the full loss (data
// processing), equal to it as k reaches the vocabulary. A bucket counts as no
// less likely than the smallest normal number, so that a reverse KL stays
// finite where the teacher leaves nothing over.
//
// One pass over the vocabulary gives the value and, where the logits require
// it, the gradient; no temporary of the logits' size is made but that gradient.
// Not differentiable twice.
at::Tensor TopKLoss(DistillationLoss loss, const at::Tensor& student_logits,
                    const TopKTargets& targets, double temperature = 1,
                    double jsd_beta = 0.5);

}  // namespace tandem

#endif  // TANDEM_DISTILL_TOP_K_LOSS_H_
