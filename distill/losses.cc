#include "distill/losses.h"

#include <cmath>
#include <stdexcept>

#include "model/aten.h"

namespace tandem {
namespace {

void CheckShapes(const at::Tensor& student, const at::Tensor& teacher) {
  TORCH_CHECK(student.dim() == 2 && student.sizes() == teacher.sizes(),
              "logits of student ", student.sizes(), " and teacher ",
              teacher.sizes(), " do not fit");
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
  CheckShapes(student_logits, teacher_logits);
  CheckTemperature(temperature);
  return KlDivergence(LogSoftmax(teacher_logits, temperature),
                      LogSoftmax(student_logits, temperature));
}

at::Tensor ReverseKl(const at::Tensor& student_logits,
                     const at::Tensor& teacher_logits, double temperature) {
  CheckShapes(student_logits, teacher_logits);
  CheckTemperature(temperature);
  return KlDivergence(LogSoftmax(student_logits, temperature),
                      LogSoftmax(teacher_logits, temperature));
}

at::Tensor GeneralizedJsd(const at::Tensor& student_logits,
                          const at::Tensor& teacher_logits, double beta,
                          double temperature) {
  CheckBeta(beta);
  if (beta == 0) return ForwardKl(student_logits, teacher_logits, temperature);
  if (beta == 1) return ReverseKl(student_logits, teacher_logits, temperature);
  CheckShapes(student_logits, teacher_logits);
  CheckTemperature(temperature);
  const at::Tensor log_p = LogSoftmax(teacher_logits, temperature);
  const at::Tensor log_q = LogSoftmax(student_logits, temperature);
  const at::Tensor log_m =
      at::logaddexp(log_p + std::log(beta), log_q + std::log1p(-beta));
  return beta * KlDivergence(log_p, log_m) +
         (1 - beta) * KlDivergence(log_q, log_m);
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
