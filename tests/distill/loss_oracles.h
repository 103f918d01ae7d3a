// Independent definitions that the losses are held against: plain double loops
// over probabilities.
#ifndef TANDEM_TESTS_DISTILL_LOSS_ORACLES_H_
#define TANDEM_TESTS_DISTILL_LOSS_ORACLES_H_

#include <cmath>
#include <functional>
#include <vector>

#include "common/random.h"
#include "model/aten.h"

namespace tandem::testing {

using Row = std::vector<double>;

inline constexpr double kTemperatures[] = {0.5, 1, 2, 7};

inline double Value(const at::Tensor& loss) { return loss.item<double>(); }

inline Row Softmax(const at::Tensor& logits, double temperature = 1) {
  const at::Tensor flat = logits.detach().to(at::kDouble).contiguous();
  Row p(flat.const_data_ptr<double>(),
        flat.const_data_ptr<double>() + flat.numel());
  double largest = p[0], total = 0;
  for (double v : p) largest = std::max(largest, v);
  for (double& v : p) total += v = std::exp((v - largest) / temperature);
  for (double& v : p) v /= total;
  return p;
}

inline double Kl(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] > 0) sum += a[i] * std::log(a[i] / b[i]);
  }
  return sum;
}

inline double Jsd(const Row& p, const Row& q, double beta) {
  Row m(p.size());
  for (size_t i = 0; i < p.size(); ++i) m[i] = beta * p[i] + (1 - beta) * q[i];
  return beta * Kl(p, m) + (1 - beta) * Kl(q, m);
}

// Sum over rows of loss(p, q).
inline double SumOverRows(const at::Tensor& student, const at::Tensor& teacher,
                          double temperature,
                          const std::function<double(Row, Row)>& loss) {
  double sum = 0;
  for (int64_t i = 0; i < student.size(0); ++i) {
    sum += loss(Softmax(teacher[i], temperature),
                Softmax(student[i], temperature));
  }
  return sum;
}

// Normal logits, fp64, the same on every machine.
inline at::Tensor RandomLogits(int64_t rows, int64_t vocabulary, uint64_t seed,
                               double spread = 2) {
  SeededRandom random(seed);
  at::Tensor logits = at::empty({rows, vocabulary}, at::kDouble);
  double* out = logits.mutable_data_ptr<double>();
  for (int64_t i = 0; i < logits.numel(); ++i)
    out[i] = spread * random.Normal();
  return logits;
}

using LossOf = std::function<at::Tensor(const at::Tensor& student)>;

inline at::Tensor Gradient(const LossOf& loss, const at::Tensor& student) {
  const at::Tensor leaf = student.detach().clone().requires_grad_(true);
  loss(leaf).backward();
  return leaf.grad();
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_DISTILL_LOSS_ORACLES_H_
