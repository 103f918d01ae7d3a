#include "model/recompute.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>

#include "model/aten.h"
#include "model/lora_trainer.h"
#include "model/safetensors.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

// The most bytes of tensors alive at one time, over those alive at its start.
class PeakTensorBytes : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t,
                         c10::Device) override {
    now_ += bytes;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  int64_t now_ = 0, peak_ = 0;
};

constexpr LoraOptions kPlainLora = {.rank = 4, .alpha = 8};

struct DeepModel {
  explicit DeepModel(const LoraOptions& options = kPlainLora) {
    DecoderConfig config = testing::TinyDecoderConfig();
    config.layers = 12;
    checkpoint = testing::RandomCheckpoint(config, 1);
    model = std::make_unique<Decoder>(
        Decoder::Create(checkpoint, at::kFloat).value());
    adapter = CreateAdapter(*model, options, 1).value();
    adapter.dropout_seed = 3;
    // B is zero in a new adapter, and with it the gradient of A.
    SeededRandom random(2);
    for (auto& [name, tensor] : adapter.tensors)
      tensor = testing::RandomTensor(random, tensor.sizes(), 0.1);
    for (int d = 0; d < 2; ++d) {
      TokenizedExample& example = examples[d];
      for (int i = 0; i < 150; ++i)
        example.tokens.push_back(static_cast<int32_t>(random.Below(261)));
      example.is_target.assign(150, 1);
    }
    batch = PackExamples({&examples[0], &examples[1]});
  }

  AdapterGradient Gradient(bool recompute, bool freeze_lora_a = false) const {
    const RecomputeMode mode(recompute);
    return ComputeAdapterGradient(*model, adapter,
                                  {{&batch, CrossEntropyRows(batch.targets)}},
                                  freeze_lora_a);
  }

  int64_t PeakBytes(bool recompute) const {
    auto peak = std::make_shared<PeakTensorBytes>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, peak);
    Gradient(recompute);
    return peak->peak();
  }

  Checkpoint checkpoint;
  std::unique_ptr<Decoder> model;
  Adapter adapter;
  TokenizedExample examples[2];
  PackedBatch batch;
};

struct AdapterCase {
  const char* name;
  LoraOptions options;
};

class RecomputedGradientsTest : public ::testing::TestWithParam<AdapterCase> {};

INSTANTIATE_TEST_SUITE_P(
    Adapters, RecomputedGradientsTest,
    ::testing::Values(
        AdapterCase{"Plain", kPlainLora},
        AdapterCase{"Dora", {.rank = 4, .alpha = 8, .use_dora = true}},
        AdapterCase{"Dropout", {.rank = 4, .alpha = 8, .dropout = 0.3}},
        AdapterCase{"DoraWithDropout",
                    {.rank = 4, .alpha = 8, .use_dora = true, .dropout = 0.3}}),
    [](const auto& info) { return info.param.name; });

TEST_P(RecomputedGradientsTest, AreTheSameBits) {
  const DeepModel deep(GetParam().options);
  for (const bool freeze_lora_a : {false, true}) {
    const AdapterGradient kept = deep.Gradient(false, freeze_lora_a);
    const AdapterGradient recomputed = deep.Gradient(true, freeze_lora_a);
    EXPECT_EQ(recomputed.loss, kept.loss);
    ASSERT_EQ(recomputed.tensors.size(), kept.tensors.size());
    for (const auto& [name, gradient] : kept.tensors) {
      EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
      EXPECT_TRUE(recomputed.tensors.at(name).equal(gradient)) << name;
    }
  }
}

TEST(RecomputeTest, ActivationsOfOneLayerAreAliveAtATime) {
  const DeepModel deep;
  EXPECT_LT(deep.PeakBytes(true), deep.PeakBytes(false) / 3);
}

TEST(RecomputeTest, TheTrainerSwitchesItOn) {
  const DeepModel deep;
  TrainerOptions options;
  LoraTrainer plain(*deep.model, deep.adapter, options);
  options.gradient_checkpointing = true;
  LoraTrainer recomputing(*deep.model, deep.adapter, options);
  auto peak = std::make_shared<PeakTensorBytes>();
  const std::vector<LossTerm> terms = {
      {&deep.batch, CrossEntropyRows(deep.batch.targets)}};
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, peak);
    recomputing.Step(terms);
  }
  plain.Step(terms);
  EXPECT_LT(peak->peak(), deep.PeakBytes(false) / 3);
  EXPECT_EQ(*SerializeSafetensors(recomputing.CurrentAdapter().tensors),
            *SerializeSafetensors(plain.CurrentAdapter().tensors));
  EXPECT_FALSE(RecomputeMode::IsEnabled());
}

TEST(RecomputeTest, InputsWithoutGradientsGetNone) {
  const at::Tensor x = at::ones({2});
  const at::Tensor used = at::full({2}, 3.0).requires_grad_();
  const at::Tensor unused = at::full({2}, 5.0).requires_grad_();
  const at::Tensor y = Recomputed(
      x, {used, unused}, [used](const at::Tensor& h) { return h * used; });
  const auto gradients = torch::autograd::grad(
      {y.sum()}, {used, unused}, {}, /*retain_graph=*/std::nullopt,
      /*create_graph=*/false, /*allow_unused=*/true);
  EXPECT_TRUE(gradients[0].equal(at::ones({2})));
  EXPECT_FALSE(gradients[1].defined() &&
               gradients[1].abs().max().item<double>() > 0);
}

}  // namespace
}  // namespace tandem
