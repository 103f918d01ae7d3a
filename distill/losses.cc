#include "distill/losses.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "model/aten.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Of some rows' logits: student's and teacher's.
using PairLoss =
    std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;

// So many logits and what is made of them stay in a core's cache.
constexpr int64_t kBlockElements = 1 << 18;

// A loss summed over rows, computed a few rows at a time together with its
// gradient: of the logits' size there is that gradient and nothing else. Not
// differentiable twice.
struct BlockwiseLoss : torch::autograd::Function<BlockwiseLoss> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& student,
                            const at::Tensor& teacher, const PairLoss& loss,
                            bool wants_gradient) {
    const int64_t rows = student.size(0);
    const int64_t block = std::max<int64_t>(
        1, kBlockElements / std::max<int64_t>(1, student.size(1)));
    at::Tensor gradient =
        wants_gradient ? at::empty_like(student) : at::Tensor();
    at::Tensor total = at::zeros({}, student.options());
    for (int64_t from = 0; from < rows; from += block) {
      const auto cut =
          [from, count = std::min(block, rows - from)](const at::Tensor& x) {
            return x.detach().narrow(0, from, count);
          };
      total += wants_gradient ? WithGradient(cut(student), cut(teacher), loss,
                                             cut(gradient))
                              : loss(cut(student), cut(teacher));
    }
    context->save_for_backward({gradient});
    return total;
  }

  static variable_list backward(AutogradContext* context,
                                variable_list output_gradients) {
    at::Tensor gradient = context->get_saved_variables()[0];
    if (const double scale = output_gradients[0].item<double>(); scale != 1)
      gradient = gradient * scale;
    return {gradient, {}, {}, {}};
  }

 private:
  static at::Tensor WithGradient(at::Tensor student, const at::Tensor& teacher,
                                 const PairLoss& loss, at::Tensor gradient) {
    const at::AutoGradMode enable(true);
    student.requires_grad_();
    const at::Tensor value = loss(student, teacher);
    gradient.copy_(torch::autograd::grad({value}, {student})[0]);
    return value.detach();
  }
};

at::Tensor Blockwise(const at::Tensor& student, const at::Tensor& teacher,
                     const PairLoss& loss) {
  TORCH_CHECK(student.dim() == 2 && student.sizes() == teacher.sizes(),
              "logits of student ", student.sizes(), " and teacher ",
              teacher.sizes(), " do not fit");
  return BlockwiseLoss::apply(
      student, teacher, loss,
      at::GradMode::is_enabled() && student.requires_grad());
}

at::Tensor LogSoftmax(const at::Tensor& logits, double temperature) {
  return at::log_softmax(temperature == 1 ? logits : logits / temperature, -1);
}

// KL(a || b) of log-probabilities, summed over all rows. What a gives no mass
// adds nothing, whatever b says, in value and gradient.
at::Tensor KlDivergence(const at::Tensor& log_a, const at::Tensor& log_b) {
  const at::Tensor impossible = at::isneginf(log_a.detach());
  const at::Tensor ratio = (log_a - log_b).masked_fill(impossible, 0);
  return (log_a.exp() * ratio).sum();
}

at::Tensor JsdOfRows(const at::Tensor& student, const at::Tensor& teacher,
                     double beta, double temperature) {
  const at::Tensor log_p = LogSoftmax(teacher, temperature);
  const at::Tensor log_q = LogSoftmax(student, temperature);
  const at::Tensor log_m =
      at::logaddexp(log_p + std::log(beta), log_q + std::log1p(-beta));
  return beta * KlDivergence(log_p, log_m) +
         (1 - beta) * KlDivergence(log_q, log_m);
}

}  // namespace

void CheckTemperature(double temperature) {
  if (temperature > 0 && std::isfinite(temperature)) return;
  throw std::invalid_argument("temperature is " + std::to_string(temperature) +
                              ", expected more than 0");
}

void CheckBeta(double beta) {
  if (beta >= 0 && beta <= 1) return;
  throw std::invalid_argument("beta is " + std::to_string(beta) +
                              ", expected 0 to 1");
}

at::Tensor ForwardKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature) {
  CheckTemperature(temperature);
  return Blockwise(student_logits, teacher_logits,
                   [temperature](const at::Tensor& q, const at::Tensor& p) {
                     return KlDivergence(LogSoftmax(p, temperature),
                                         LogSoftmax(q, temperature));
                   });
}

at::Tensor ReverseKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature) {
  CheckTemperature(temperature);
  return Blockwise(student_logits, teacher_logits,
                   [temperature](const at::Tensor& q, const at::Tensor& p) {
                     return KlDivergence(LogSoftmax(q, temperature),
                                         LogSoftmax(p, temperature));
                   });
}

at::Tensor GeneralizedJsd(const at::Tensor& student_logits,
                          const at::Tensor& teacher_logits, double beta,
                          double temperature) {
  CheckBeta(beta);
  CheckTemperature(temperature);
  if (beta == 0) return ForwardKl(student_logits, teacher_logits, temperature);
  if (beta == 1) return ReverseKl(student_logits, teacher_logits, temperature);
  return Blockwise(
      student_logits, teacher_logits,
      [beta, temperature](const at::Tensor& q, const at::Tensor& p) {
        return JsdOfRows(q, p, beta, temperature);
      });
}

StatusOr<DistillationLoss> ParseDistillationLoss(const std::string& name) {
  if (name == "forward_kl") return DistillationLoss::kForwardKl;
  if (name == "reverse_kl") return DistillationLoss::kReverseKl;
  if (name == "jsd") return DistillationLoss::kGeneralizedJsd;
  return InvalidArgument(
      "unknown distillation loss '{}', expected one of forward_kl, reverse_kl, "
      "jsd",
      name);
}

}  // namespace tandem
