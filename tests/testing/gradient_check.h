// Gradients by central differences, in fp64, beside those of the backward pass.
#ifndef TANDEM_TESTS_TESTING_GRADIENT_CHECK_H_
#define TANDEM_TESTS_TESTING_GRADIENT_CHECK_H_

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

#include "model/aten.h"
#include "tests/testing/make_tensor.h"

namespace tandem::testing {

// Normal values around `mean`, fp64, the same for equal seeds.
inline at::Tensor RandomDoubles(at::IntArrayRef shape, uint64_t seed,
                                double mean = 0) {
  return RandomTensor(shape, seed).to(at::kDouble) + mean;
}

// A loss that weights every element differently, so that no error cancels.
inline at::Tensor WeightedSum(const at::Tensor& y) {
  return (y * RandomDoubles(y.sizes(), 99)).sum();
}

// `function` maps fp64 tensors to a scalar; each element of each input is moved
// by +-1e-6.
inline void ExpectGradientsMatchDifferences(
    const std::function<at::Tensor(const std::vector<at::Tensor>&)>& function,
    std::vector<at::Tensor> inputs, double tolerance = 1e-7) {
  for (at::Tensor& input : inputs) {
    ASSERT_EQ(input.scalar_type(), at::kDouble);
    input = input.detach().clone().requires_grad_();
  }
  const auto gradients = torch::autograd::grad({function(inputs)}, inputs);
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-6;
  for (size_t i = 0; i < inputs.size(); ++i) {
    double* values = inputs[i].mutable_data_ptr<double>();
    const at::Tensor gradient = gradients[i].contiguous();
    for (int64_t e = 0; e < inputs[i].numel(); ++e) {
      const double original = values[e];
      values[e] = original + kStep;
      const double above = function(inputs).item<double>();
      values[e] = original - kStep;
      const double below = function(inputs).item<double>();
      values[e] = original;
      const double expected = (above - below) / (2 * kStep);
      ASSERT_NEAR(gradient.const_data_ptr<double>()[e], expected,
                  tolerance * (1 + std::abs(expected)))
          << "input " << i << ", element " << e;
    }
  }
}

inline double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_GRADIENT_CHECK_H_
