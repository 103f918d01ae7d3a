// A layer in the type in which it trains, beside its plain composition.
#ifndef TANDEM_TESTS_TESTING_FP32_CHECK_H_
#define TANDEM_TESTS_TESTING_FP32_CHECK_H_

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

#include "model/aten.h"
#include "tests/testing/gradient_check.h"

namespace tandem::testing {

using Layer = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// The layer's value and the gradients of its inputs for a WeightedSum.
inline std::vector<at::Tensor> ValueAndGradients(
    const Layer& layer, const std::vector<at::Tensor>& inputs,
    at::ScalarType dtype) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs)
    leaves.push_back(input.detach().to(dtype).clone().requires_grad_());
  const at::Tensor value = layer(leaves);
  std::vector<at::Tensor> all = {value.detach()};
  for (at::Tensor& gradient :
       torch::autograd::grad({WeightedSum(value)}, leaves))
    all.push_back(std::move(gradient));
  return all;
}

// `ours` in fp32 against `plain`, LibTorch's composition, in fp64: each within
// `tolerance` of the largest value.
inline void ExpectSameInFp32(const Layer& ours, const Layer& plain,
                             const std::vector<at::Tensor>& inputs,
                             double tolerance = 2e-6) {
  const auto actual = ValueAndGradients(ours, inputs, at::kFloat);
  const auto expected = ValueAndGradients(plain, inputs, at::kDouble);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(actual[i].scalar_type(), at::kFloat);
    const double largest = expected[i].abs().max().item<double>();
    EXPECT_LE(MaxDifference(actual[i], expected[i]), tolerance * largest)
        << (i == 0 ? "value" : "gradient " + std::to_string(i - 1));
  }
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_FP32_CHECK_H_
