#include "model/adamw.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <utility>

namespace tandem {
namespace {

constexpr int64_t kBlock = 8192;  // elements

}  // namespace

AdamW::AdamW(const AdamWOptions& options, int64_t size,
             std::vector<ParameterGroup> groups)
    : options_(options),
      groups_(groups.empty() ? std::vector<ParameterGroup>{{size}}
                             : std::move(groups)),
      state_{0, std::vector<float>(size), std::vector<float>(size)} {}

void AdamW::Step(std::span<float> parameters, std::span<const float> gradients,
                 double gradient_scale, double learning_rate) {
  const double steps = static_cast<double>(++state_.steps);
  const double correction1 = 1 - std::pow(options_.beta1, steps);
  const double correction2 = 1 - std::pow(options_.beta2, steps);
  const float scale = static_cast<float>(gradient_scale);
  const float root = static_cast<float>(1 / std::sqrt(correction2));
  const float epsilon = static_cast<float>(options_.epsilon);
  const float beta2 = static_cast<float>(options_.beta2);
  const float rest1 = static_cast<float>(1 - options_.beta1);
  const float rest2 = static_cast<float>(1 - options_.beta2);
  float* p = parameters.data();
  const float* g = gradients.data();
  float* m = state_.first_moment.data();
  float* v = state_.second_moment.data();
  int64_t start = 0;
  for (const ParameterGroup& group : groups_) {
    const double rate = learning_rate * group.learning_rate_factor;
    const float decay = static_cast<float>(1 - rate * options_.weight_decay);
    const float step_size = static_cast<float>(rate / correction1);
    at::parallel_for(
        start, start + group.elements, kBlock, [&](int64_t from, int64_t to) {
#pragma omp simd
          for (int64_t i = from; i < to; ++i) {
            const float gradient = g[i] * scale;
            m[i] += (gradient - m[i]) * rest1;
            v[i] = v[i] * beta2 + gradient * gradient * rest2;
            p[i] = p[i] * decay -
                   step_size * m[i] / (std::sqrt(v[i]) * root + epsilon);
          }
        });
    start += group.elements;
  }
}

double NormL2(std::span<const float> values) {
  const int64_t size = static_cast<int64_t>(values.size());
  std::vector<double> partial((size + kBlock - 1) / kBlock);
  at::parallel_for(0, static_cast<int64_t>(partial.size()), 1,
                   [&](int64_t from, int64_t to) {
                     for (int64_t b = from; b < to; ++b) {
                       double sum = 0;
                       const int64_t end = std::min(size, (b + 1) * kBlock);
#pragma omp simd reduction(+ : sum)
                       for (int64_t i = b * kBlock; i < end; ++i)
                         sum += static_cast<double>(values[i]) * values[i];
                       partial[b] = sum;
                     }
                   });
  double total = 0;
  for (const double sum : partial) total += sum;
  return std::sqrt(total);
}

}  // namespace tandem
