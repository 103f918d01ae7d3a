#include "model/chunked_head_loss.h"

#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include "model/aten.h"
#include "tests/testing/fp32_check.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using testing::MaxDifference;

struct Problem {
  at::Tensor hidden, head, targets;
};

Problem MakeProblem(int64_t rows, at::ScalarType dtype = at::kDouble) {
  SeededRandom random(5);
  Problem p{testing::RandomTensor(random, {rows, 6}, 1).to(dtype),
            testing::RandomTensor(random, {11, 6}, 1).to(dtype),
            at::empty({rows}, at::kLong)};
  for (int64_t i = 0; i < rows; ++i)
    p.targets[i] = static_cast<int64_t>(random.Below(11));
  return p;
}

// By the definition: sum of log(sum exp) - chosen.
at::Tensor Unchunked(const at::Tensor& hidden, const Problem& p) {
  const at::Tensor logits = hidden.mm(p.head.t());
  return (logits.exp().sum(-1).log() -
          logits.gather(1, p.targets.unsqueeze(1)).squeeze(1))
      .sum();
}

TEST(ChunkedHeadLoss, IsTheUnchunkedCompositionForOddSizes) {
  for (const int64_t rows : {1, 5, 7, 13})
    for (const int64_t chunk : {1, 3, 5, 128}) {
      SCOPED_TRACE(std::to_string(rows) + " rows by " + std::to_string(chunk));
      const Problem p = MakeProblem(rows);
      const at::Tensor a = p.hidden.clone().requires_grad_();
      const at::Tensor b = p.hidden.clone().requires_grad_();
      const at::Tensor chunked =
          ChunkedHeadLoss(a, p.head, CrossEntropyRows(p.targets), chunk);
      const at::Tensor whole = Unchunked(b, p);
      EXPECT_NEAR(chunked.item<double>(), whole.item<double>(), 1e-10);
      // A factor, as the mean over rows applies one.
      (chunked * 0.25).backward();
      (whole * 0.25).backward();
      EXPECT_LT(MaxDifference(a.grad(), b.grad()), 1e-10);
    }
}

// In the type of training: softmax by vectors, its gradient in its place.
TEST(ChunkedHeadLoss, IsTheUnchunkedCompositionInFp32) {
  for (const int64_t vocabulary : {11, 1003}) {
    const at::Tensor head = testing::RandomDoubles({vocabulary, 37}, 2);
    const at::Tensor targets = at::arange(9) * (vocabulary / 9);
    testing::ExpectSameInFp32(
        [&](const std::vector<at::Tensor>& in) {
          return ChunkedHeadLoss(in[0], head.to(at::kFloat),
                                 CrossEntropyRows(targets), 4);
        },
        [&](const std::vector<at::Tensor>& in) {
          return -in[0]
                      .mm(head.t())
                      .log_softmax(-1)
                      .gather(1, targets.unsqueeze(1))
                      .sum();
        },
        {testing::RandomDoubles({9, 37}, 1)});
  }
}

TEST(ChunkedHeadLoss, GivesTheLossFp32RowsInOrder) {
  const Problem p = MakeProblem(7, at::kFloat);
  std::vector<std::pair<int64_t, int64_t>> seen;
  ChunkedHeadLoss(
      p.hidden, p.head.to(at::kBFloat16),
      [&](const at::Tensor& logits, int64_t first_row) {
        EXPECT_EQ(logits.scalar_type(), at::kFloat);
        seen.emplace_back(first_row, logits.size(0));
        return logits.sum();
      },
      3);
  EXPECT_THAT(seen, ::testing::ElementsAre(std::pair(0, 3), std::pair(3, 3),
                                           std::pair(6, 1)));
}

TEST(ChunkedHeadLoss, HasTheValueWithoutGradients) {
  const Problem p = MakeProblem(7);
  const at::NoGradGuard no_grad;
  const at::Tensor hidden = p.hidden.clone().requires_grad_();
  const at::Tensor loss =
      ChunkedHeadLoss(hidden, p.head, CrossEntropyRows(p.targets), 4);
  EXPECT_FALSE(loss.requires_grad());
  EXPECT_NEAR(loss.item<double>(), Unchunked(p.hidden, p).item<double>(),
              1e-10);
}

TEST(ChunkedHeadLoss, OfNoRowsIsZero) {
  const Problem p = MakeProblem(1);
  const at::Tensor hidden = p.hidden.narrow(0, 0, 0);
  EXPECT_EQ(ChunkedHeadLoss(hidden, p.head, CrossEntropyRows(p.targets))
                .item<double>(),
            0);
}

TEST(ChunkedHeadLoss, SkipsChunksTheLossDoesNotLookAt) {
  const Problem p = MakeProblem(4);
  const at::Tensor hidden = p.hidden.clone().requires_grad_();
  ChunkedHeadLoss(
      hidden, p.head,
      [](const at::Tensor& logits, int64_t first_row) {
        return first_row == 0 ? logits.sum() : at::zeros({}, at::kDouble);
      },
      2)
      .backward();
  EXPECT_EQ(hidden.grad().narrow(0, 2, 2).abs().max().item<double>(), 0);
  EXPECT_GT(hidden.grad().narrow(0, 0, 2).abs().max().item<double>(), 0);
}

TEST(CrossEntropySum, GradientMatchesDifferences) {
  SeededRandom random(3);
  const at::Tensor targets = at::tensor({0, 4, 2}, at::kLong);
  testing::ExpectGradientsMatchDifferences(
      [&](const std::vector<at::Tensor>& in) {
        return CrossEntropySum(in[0], targets) * 1.5;
      },
      {testing::RandomTensor(random, {3, 5}, 2).to(at::kDouble)});
}

TEST(CrossEntropySum, SurvivesLargeLogits) {
  const at::Tensor logits = at::tensor({1000.0f, 0.0f}).view({1, 2});
  EXPECT_NEAR(CrossEntropySum(logits, at::ones({1}, at::kLong)).item<double>(),
              1000, 1e-3);
}

}  // namespace
}  // namespace tandem
