#include "distill/top_k_loss.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/aten.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

double Smallest(const at::Tensor& like) {
  return like.scalar_type() == at::kDouble ? std::numeric_limits<double>::min()
                                           : std::numeric_limits<float>::min();
}

// A softmax at one temperature, cut into k chosen tokens and the rest, not yet
// divided by its total; shifted by the row's largest logit.
struct CutSoftmax {
  at::Tensor exponentials;  // [rows, vocabulary], zero at the chosen tokens
  at::Tensor log_chosen;    // [rows, k]
  at::Tensor rest;          // [rows, 1], the sum of exponentials
  at::Tensor total;         // [rows, 1], rest and chosen
};

CutSoftmax Cut(const at::Tensor& logits, const at::Tensor& indices,
               double temperature) {
  const at::Tensor largest = logits.amax(1, /*keepdim=*/true);
  CutSoftmax cut;
  cut.exponentials = logits - largest;
  if (temperature != 1) cut.exponentials.div_(temperature);
  cut.log_chosen = cut.exponentials.gather(1, indices);
  cut.exponentials.exp_().scatter_(1, indices, 0);
  cut.rest = cut.exponentials.sum(1, /*keepdim=*/true);
  cut.total = cut.rest + cut.log_chosen.exp().sum(1, /*keepdim=*/true);
  return cut;
}

// The loss over outcomes [rows, outcomes] and its derivative by the logarithm
// of q. All logarithms are finite.
struct OutcomesLoss {
  at::Tensor value;     // scalar
  at::Tensor by_log_q;  // [rows, outcomes]: q dL/dq
};

OutcomesLoss LossOfOutcomes(DistillationLoss loss, const at::Tensor& log_p,
                            const at::Tensor& log_q, double beta) {
  const at::Tensor p = log_p.exp(), q = log_q.exp();
  const bool jsd = loss == DistillationLoss::kGeneralizedJsd;
  if (loss == DistillationLoss::kForwardKl || (jsd && beta == 0)) {
    return {(p * (log_p - log_q)).sum(), -p};
  }
  if (loss == DistillationLoss::kReverseKl || (jsd && beta == 1)) {
    const at::Tensor terms = q * (log_q - log_p);
    return {terms.sum(), terms + q};
  }
  const at::Tensor log_m =
      at::logaddexp(log_p + std::log(beta), log_q + std::log1p(-beta));
  const at::Tensor by_q = (1 - beta) * (q * (log_q - log_m));
  return {beta * (p * (log_p - log_m)).sum() + by_q.sum(), by_q};
}

struct TopKLossFunction : torch::autograd::Function<TopKLossFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& indices,
                            const at::Tensor& log_chosen_p,
                            const at::Tensor& rest_p, int64_t loss,
                            double temperature, double beta,
                            bool wants_gradient) {
    const bool all_chosen = indices.size(1) == logits.size(1);
    const double smallest = Smallest(logits);
    const CutSoftmax cut = Cut(logits, indices, temperature);
    const at::Tensor rest = cut.rest.clamp_min(smallest);
    at::Tensor log_p = log_chosen_p, log_q = cut.log_chosen;
    if (!all_chosen) {  // else there is no bucket
      log_p = at::cat({log_p, rest_p.clamp_min(smallest).log()}, 1);
      log_q = at::cat({log_q, rest.log()}, 1);
    }
    log_q = log_q - cut.total.log();
    const OutcomesLoss outcomes =
        LossOfOutcomes(static_cast<DistillationLoss>(loss), log_p, log_q, beta);
    if (wants_gradient) {
      context->save_for_backward({LogitGradient(
          cut, indices, rest, log_q, outcomes.by_log_q, temperature)});
    }
    return outcomes.value;
  }

  static variable_list backward(AutogradContext* context,
                                variable_list output_gradients) {
    const variable_list saved = context->get_saved_variables();
    const Variable none;
    return {saved[0] * output_gradients[0],
            none,
            none,
            none,
            none,
            none,
            none,
            none};
  }

 private:
  // With w_u = q_u dL/dq_u of outcome u and W their sum, the gradient in the
  // logit of token v is (w_v - q_v W) / T for a chosen token and
  // q_v (w_rest / q_rest - W) / T for one of the rest. Takes over the
  // exponentials' memory.
  static at::Tensor LogitGradient(const CutSoftmax& cut,
                                  const at::Tensor& indices,
                                  const at::Tensor& rest,
                                  const at::Tensor& log_q, const at::Tensor& w,
                                  double temperature) {
    const int64_t k = indices.size(1);
    const at::Tensor w_sum = w.sum(1, /*keepdim=*/true);
    const at::Tensor chosen =
        w.narrow(1, 0, k) - log_q.narrow(1, 0, k).exp() * w_sum;
    at::Tensor scale = -w_sum / cut.total;
    if (w.size(1) > k) scale = scale + w.narrow(1, k, 1) / rest;
    return cut.exponentials.mul_(scale / temperature)
        .scatter_(1, indices, chosen / temperature);
  }
};

}  // namespace

TopKTargets TopKTargets::Rows(int64_t first, int64_t count) const {
  return {.indices = indices.narrow(0, first, count),
          .log_probabilities = log_probabilities.narrow(0, first, count),
          .left_over = left_over.narrow(0, first, count)};
}

TopKTargets TopKOf(const at::Tensor& teacher_logits, int64_t k,
                   double temperature) {
  CheckTemperature(temperature);
  const at::NoGradGuard no_grad;
  const at::Tensor indices =
      std::get<1>(teacher_logits.topk(std::min(k, teacher_logits.size(1)), 1));
  const CutSoftmax cut = Cut(teacher_logits, indices, temperature);
  return {.indices = indices,
          .log_probabilities = (cut.log_chosen - cut.total.log()).clamp_max(0),
          .left_over = (cut.rest / cut.total).squeeze(1)};
}

at::Tensor TopKLoss(DistillationLoss loss, const at::Tensor& student_logits,
                    const TopKTargets& targets, double temperature,
                    double jsd_beta) {
  CheckTemperature(temperature);
  CheckBeta(jsd_beta);
  const at::ScalarType dtype = student_logits.scalar_type();
  const bool wants_gradient =
      at::GradMode::is_enabled() && student_logits.requires_grad();
  return TopKLossFunction::apply(
      student_logits, targets.indices, targets.log_probabilities.to(dtype),
      targets.left_over.to(dtype).unsqueeze(1), static_cast<int64_t>(loss),
      temperature, jsd_beta, wants_gradient);
}

}  // namespace tandem
