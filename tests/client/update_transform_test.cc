#include "client/update_transform.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "common/random.h"
#include "model/aten.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::RandomTensor;
using testing::StatusIs;

// The definition, element by element.
double PlainNorm(const TensorMap& tensors) {
  double sum = 0;
  for (const auto& [name, tensor] : tensors) {
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      const double x = tensor.flatten()[i].item<float>();
      sum += x * x;
    }
  }
  return std::sqrt(sum);
}

TEST(NormL2, IsOfAllTensorsTogether) {
  EXPECT_EQ(NormL2({{"a", at::full({1}, 3.0f)}, {"b", at::full({1}, 4.0f)}}),
            5);
  EXPECT_EQ(NormL2({}), 0);
}

TEST(ClipTransform, ScalesTheWholeUpdateByOneFactor) {
  TensorMap update = {{"a", at::full({1}, 3.0f)}, {"b", at::full({1}, 4.0f)}};
  ASSERT_THAT(NewClipTransform(1)->Apply(update), IsOk());
  EXPECT_FLOAT_EQ(update["a"].item<float>(), 0.6f);
  EXPECT_FLOAT_EQ(update["b"].item<float>(), 0.8f);
}

TEST(ClipTransform, LeavesAShortUpdateAsItIs) {
  TensorMap update = {{"a", at::full({2}, 0.5f)}};
  const at::Tensor before = update["a"].clone();
  ASSERT_THAT(NewClipTransform(0.75)->Apply(update), IsOk());
  EXPECT_TRUE(update["a"].equal(before));
}

TEST(ClipTransform, NeverLeavesItLongerThanTheBound) {
  SeededRandom random(1);
  for (int trial = 0; trial < 300; ++trial) {
    TensorMap update = {{"a", RandomTensor(random, {3, 5}, 1)},
                        {"b", RandomTensor(random, {7}, 1e-3)}};
    const double bound = std::exp(-8 * random.Uniform()) * PlainNorm(update);
    ASSERT_THAT(NewClipTransform(bound)->Apply(update), IsOk());
    EXPECT_LE(PlainNorm(update), bound);
    EXPECT_GE(PlainNorm(update), bound * (1 - 1e-6));
  }
}

TEST(ClipTransform, DoesNotWriteToTheOriginalTensors) {
  const at::Tensor original = at::full({2}, 8.0f);
  TensorMap update = {{"a", original}};
  ASSERT_THAT(NewClipTransform(1)->Apply(update), IsOk());
  EXPECT_TRUE(original.equal(at::full({2}, 8.0f)));
}

TEST(ClipTransform, RefusesWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    TensorMap update = {{"a", at::full({1}, bad)}};
    EXPECT_THAT(NewClipTransform(1)->Apply(update),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("norm")));
  }
  TensorMap update = {{"a", at::full({1}, 1.0f)}};
  for (const double bad : {0.0, -1.0, std::nan("")}) {
    EXPECT_THAT(NewClipTransform(bad)->Apply(update),
                StatusIs(StatusCode::kInvalidArgument));
  }
}

// Adds a constant to everything: does not commute with clipping.
class Shift : public UpdateTransform {
 public:
  explicit Shift(float by) : by_(by) {}
  std::string_view name() const override { return "shift"; }
  Status Apply(TensorMap& update) const override {
    for (auto& [name, tensor] : update) tensor = tensor + by_;
    return OkStatus();
  }

 private:
  float by_;
};

TEST(ApplyTransforms, RunsInOrderAndNamesTheOneThatFails) {
  UpdateTransforms chain;
  chain.push_back(std::make_unique<Shift>(3));
  chain.push_back(NewClipTransform(1));
  chain.push_back(std::make_unique<Shift>(10));
  TensorMap update = {{"a", at::full({1}, 1.0f)}};
  ASSERT_THAT(ApplyTransforms(chain, update), IsOk());
  EXPECT_FLOAT_EQ(update["a"].item<float>(), 11);

  update["a"].fill_(std::nanf(""));
  EXPECT_THAT(ApplyTransforms(chain, update),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("clip:")));
}

}  // namespace
}  // namespace tandem
