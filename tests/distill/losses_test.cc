#include "distill/losses.h"

#include <gmock/gmock.h>

#include <limits>

#include "model/aten.h"
#include "tests/distill/loss_oracles.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using testing::ExpectGradientsMatchDifferences;
using testing::Gradient;
using ::testing::HasSubstr;
using testing::Jsd;
using testing::Kl;
using testing::kTemperatures;
using testing::RandomLogits;
using testing::Row;
using testing::Softmax;
using testing::SumOverRows;
using testing::Value;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Losses, AreTheirDefinitions) {
  const at::Tensor q = RandomLogits(3, 11, 1), p = RandomLogits(3, 11, 2);
  for (double t : kTemperatures) {
    EXPECT_NEAR(Value(ForwardKl(q, p, t)),
                SumOverRows(q, p, t, [](Row a, Row b) { return Kl(a, b); }),
                1e-12);
    EXPECT_NEAR(Value(ReverseKl(q, p, t)),
                SumOverRows(q, p, t, [](Row a, Row b) { return Kl(b, a); }),
                1e-12);
    for (double beta : {0.01, 0.5, 0.9}) {
      EXPECT_NEAR(
          Value(GeneralizedJsd(q, p, beta, t)),
          SumOverRows(q, p, t, [=](Row a, Row b) { return Jsd(a, b, beta); }),
          1e-12);
    }
  }
}

// Two outcomes, worked out by hand: p = (3/4, 1/4), q = (1/2, 1/2).
TEST(Losses, GoldenValues) {
  const at::Tensor p = at::tensor({0.75, 0.25}, at::kDouble).log().view({1, 2});
  const at::Tensor q = at::tensor({0.5, 0.5}, at::kDouble).log().view({1, 2});
  EXPECT_NEAR(Value(ForwardKl(q, p)), 0.75 * std::log(3) - std::log(2), 1e-15);
  EXPECT_NEAR(Value(ReverseKl(q, p)), std::log(2) - 0.5 * std::log(3), 1e-15);
  // m = (5/8, 3/8).
  const double jsd = 0.5 * (0.75 * std::log(6. / 5) + 0.25 * std::log(2. / 3)) +
                     0.5 * (0.5 * std::log(4. / 5) + 0.5 * std::log(4. / 3));
  EXPECT_NEAR(Value(GeneralizedJsd(q, p, 0.5)), jsd, 1e-15);
}

TEST(Losses, GradientsAreFiniteDifferences) {
  const at::Tensor q = RandomLogits(2, 7, 3), p = RandomLogits(2, 7, 4);
  for (double t : kTemperatures) {
    const testing::LossOf losses[] = {
        [&](const at::Tensor& s) { return ForwardKl(s, p, t); },
        [&](const at::Tensor& s) { return ReverseKl(s, p, t); },
        [&](const at::Tensor& s) { return GeneralizedJsd(s, p, 0, t); },
        [&](const at::Tensor& s) { return GeneralizedJsd(s, p, 0.3, t); },
        [&](const at::Tensor& s) { return GeneralizedJsd(s, p, 1, t); },
    };
    for (const auto& loss : losses) {
      SCOPED_TRACE(t);
      ExpectGradientsMatchDifferences(
          [&](const auto& inputs) { return loss(inputs[0]); }, {q}, 5e-9);
    }
  }
}

TEST(Losses, GoldenGradients) {
  const at::Tensor logits = RandomLogits(1, 9, 5);
  const at::Tensor teacher = RandomLogits(1, 9, 6);
  const Row p = Softmax(teacher), q = Softmax(logits);
  const at::Tensor forward = Gradient(
      [&](const at::Tensor& s) { return ForwardKl(s, teacher); }, logits);
  const at::Tensor reverse = Gradient(
      [&](const at::Tensor& s) { return ReverseKl(s, teacher); }, logits);
  for (int64_t v = 0; v < 9; ++v) {
    EXPECT_NEAR(forward[0][v].item<double>(), q[v] - p[v], 1e-14);
    EXPECT_NEAR(reverse[0][v].item<double>(),
                q[v] * (std::log(q[v]) - std::log(p[v]) - Kl(q, p)), 1e-14);
  }
}

TEST(Losses, AreZeroWhereStudentIsTeacher) {
  const at::Tensor p = RandomLogits(4, 13, 7, 5);
  // Logits are only known up to a constant per row.
  const at::Tensor q = p + RandomLogits(4, 1, 8);
  for (double t : kTemperatures) {
    EXPECT_NEAR(Value(ForwardKl(q, p, t)), 0, 1e-13);
    EXPECT_NEAR(Value(ReverseKl(q, p, t)), 0, 1e-13);
    EXPECT_NEAR(Value(GeneralizedJsd(q, p, 0.2, t)), 0, 1e-13);
  }
}

TEST(Losses, JsdAtItsEndsAndInTheMiddle) {
  const at::Tensor q = RandomLogits(2, 8, 9), p = RandomLogits(2, 8, 10);
  EXPECT_EQ(Value(GeneralizedJsd(q, p, 0)), Value(ForwardKl(q, p)));
  EXPECT_EQ(Value(GeneralizedJsd(q, p, 1)), Value(ReverseKl(q, p)));
  EXPECT_NEAR(Value(GeneralizedJsd(q, p, 0.5)),
              Value(GeneralizedJsd(p, q, 0.5)), 1e-13);
  EXPECT_LE(Value(GeneralizedJsd(q, p, 0.5)), 2 * std::log(2));
}

TEST(Losses, StayFiniteForHugeLogits) {
  const at::Tensor q = (RandomLogits(2, 8, 11, 1e4)).to(at::kFloat);
  const at::Tensor p = (RandomLogits(2, 8, 12, 1e4)).to(at::kFloat);
  const testing::LossOf losses[] = {
      [&](const at::Tensor& s) { return ForwardKl(s, p); },
      [&](const at::Tensor& s) { return ReverseKl(s, p); },
      [&](const at::Tensor& s) { return GeneralizedJsd(s, p, 0.5); }};
  for (const auto& loss : losses) {
    EXPECT_TRUE(std::isfinite(Value(loss(q))));
    EXPECT_TRUE(Gradient(loss, q).isfinite().all().item<bool>());
  }
}

TEST(Losses, ImpossibleTokensAddNothing) {
  const at::Tensor q = RandomLogits(1, 5, 13), p = RandomLogits(1, 5, 14);
  const at::Tensor column = at::full({1, 1}, -kInfinity, at::kDouble);
  const at::Tensor wide_p = at::cat({p, column}, 1);
  const at::Tensor wide_q = at::cat({q, column}, 1);
  EXPECT_NEAR(Value(ForwardKl(wide_q, wide_p)), Value(ForwardKl(q, p)), 1e-14);
  EXPECT_NEAR(Value(ReverseKl(wide_q, wide_p)), Value(ReverseKl(q, p)), 1e-14);
  const at::Tensor gradient = Gradient(
      [&](const at::Tensor& s) { return ReverseKl(s, wide_p); }, wide_q);
  EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  // What the teacher cannot say, a student may not: no mass costs nothing,
  // mass costs everything.
  EXPECT_EQ(Value(ReverseKl(at::cat({q, at::zeros_like(column)}, 1), wide_p)),
            kInfinity);
}

TEST(Losses, RefuseTemperatureAndBetaOutOfRange) {
  const at::Tensor q = RandomLogits(1, 5, 15);
  for (double t : {0., -1., kInfinity, std::nan("")}) {
    EXPECT_THROW(ForwardKl(q, q, t), std::invalid_argument);
    EXPECT_THROW(ReverseKl(q, q, t), std::invalid_argument);
  }
  for (double beta : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THROW(GeneralizedJsd(q, q, beta), std::invalid_argument);
  }
}

TEST(ParseDistillationLoss, KnowsItsNames) {
  EXPECT_EQ(*ParseDistillationLoss("forward_kl"), DistillationLoss::kForwardKl);
  EXPECT_EQ(*ParseDistillationLoss("reverse_kl"), DistillationLoss::kReverseKl);
  EXPECT_EQ(*ParseDistillationLoss("jsd"), DistillationLoss::kGeneralizedJsd);
  EXPECT_THAT(ParseDistillationLoss("kl"),
              testing::StatusIs(StatusCode::kInvalidArgument,
                                HasSubstr("forward_kl, reverse_kl, jsd")));
}

}  // namespace
}  // namespace tandem
