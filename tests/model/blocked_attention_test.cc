#include "model/blocked_attention.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "model/aten.h"
#include "model/instruction_set.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/make_tensor.h"

namespace tandem {
namespace {

using testing::MaxDifference;
using testing::RandomTensor;

// Documents shorter than a panel, a block with a rest, and several blocks.
const std::vector<int64_t> kOffsets = {0, 1, 14, 14, 111, 361};
constexpr int64_t kTokens = 361;

struct Case {
  int64_t head_size, heads, key_value_heads, window;
};
constexpr Case kCases[] = {{16, 3, 3, 0},
                           {64, 6, 2, 0},
                           {16, 2, 1, 1},
                           {32, 4, 2, 7},
                           {16, 3, 1, 100}};

struct Inputs {
  at::Tensor query, key, value, grad;
  AttentionPlan plan;

  explicit Inputs(const Case& c)
      : query(RandomTensor({kTokens, c.heads * c.head_size}, 1, 2)),
        key(RandomTensor({kTokens, c.key_value_heads * c.head_size}, 2)),
        value(RandomTensor({kTokens, c.key_value_heads * c.head_size}, 3)),
        grad(RandomTensor({kTokens, c.heads * c.head_size}, 4)),
        plan{kOffsets, c.head_size, 0.2, c.window} {}
};

// [tokens, tokens]: 0 where the first sees the second, else -inf.
at::Tensor Mask(const AttentionPlan& plan) {
  at::Tensor mask =
      at::full({kTokens, kTokens}, -std::numeric_limits<double>::infinity());
  for (size_t d = 0; d + 1 < plan.offsets.size(); ++d)
    for (int64_t i = plan.offsets[d]; i < plan.offsets[d + 1]; ++i) {
      const int64_t first =
          plan.window == 0 ? plan.offsets[d]
                           : std::max(plan.offsets[d], i - plan.window + 1);
      mask[i].narrow(0, first, i + 1 - first).zero_();
    }
  return mask;
}

// The definition, in fp64: [heads, tokens, head_size] of each.
struct PlainAttention {
  at::Tensor output, log_sum_exp;

  PlainAttention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                 const AttentionPlan& plan) {
    const auto heads = [&](const at::Tensor& x) {
      return x.view({kTokens, -1, plan.head_size}).transpose(0, 1);
    };
    const int64_t group = q.size(1) / k.size(1);
    const at::Tensor scores =
        heads(q).matmul(heads(k).repeat_interleave(group, 0).transpose(1, 2)) *
            plan.scale +
        Mask(plan);
    output = at::softmax(scores, -1)
                 .matmul(heads(v).repeat_interleave(group, 0))
                 .transpose(0, 1)
                 .reshape({kTokens, q.size(1)});
    log_sum_exp = at::logsumexp(scores, {-1});
  }
};

class BlockedAttentionTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!HasAvx2()) GTEST_SKIP();
  }
};

TEST_P(BlockedAttentionTest, IsTheDefinitionForwardAndBackward) {
  const Inputs in(GetParam());
  const AttentionResult result =
      BlockedAttention(in.query, in.key, in.value, in.plan);
  std::vector<at::Tensor> exact;
  for (const at::Tensor* x : {&in.query, &in.key, &in.value})
    exact.push_back(x->to(at::kDouble).requires_grad_());
  const PlainAttention plain(exact[0], exact[1], exact[2], in.plan);
  EXPECT_LT(MaxDifference(result.output, plain.output.detach()), 1e-5);
  EXPECT_LT(MaxDifference(result.log_sum_exp, plain.log_sum_exp.detach()),
            1e-5);

  const AttentionGradients ours = BlockedAttentionBackward(
      in.grad, in.query, in.key, in.value, result, in.plan);
  const auto expected =
      torch::autograd::grad({plain.output}, exact, {in.grad.to(at::kDouble)});
  EXPECT_LT(MaxDifference(ours.query, expected[0]), 3e-5);
  EXPECT_LT(MaxDifference(ours.key, expected[1]), 3e-5);
  EXPECT_LT(MaxDifference(ours.value, expected[2]), 3e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, BlockedAttentionTest,
                         ::testing::ValuesIn(kCases));

}  // namespace
}  // namespace tandem
