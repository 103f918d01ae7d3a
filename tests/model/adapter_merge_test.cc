#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "model/adapter.h"
#include "model/aten.h"
#include "model/decoder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::TinyCheckpoint;

Adapter RandomAdapter(const DecoderConfig& config, const LoraOptions& options) {
  Adapter adapter = *CreateAdapter(config, options, 1);
  for (auto& [name, tensor] : adapter.tensors) tensor = at::randn_like(tensor);
  return adapter;
}

// W + alpha / r sum_k B[i, k] A[k, j], in double, entry by entry.
at::Tensor MergedByDefinition(const at::Tensor& weight, const at::Tensor& a,
                              const at::Tensor& b, const LoraOptions& options) {
  at::Tensor merged = weight.to(at::kDouble).clone();
  auto out = merged.accessor<double, 2>();
  const auto a_at = a.accessor<float, 2>();
  const auto b_at = b.accessor<float, 2>();
  for (int64_t i = 0; i < out.size(0); ++i) {
    for (int64_t j = 0; j < out.size(1); ++j) {
      double sum = 0;
      for (int64_t k = 0; k < options.rank; ++k) sum += b_at[i][k] * a_at[k][j];
      out[i][j] += options.alpha / static_cast<double>(options.rank) * sum;
    }
  }
  return merged;
}

TEST(MergeAdapterTest, EqualsTheDefinition) {
  const Checkpoint base = TinyCheckpoint();
  const Adapter adapter = RandomAdapter(base.config, {.rank = 3, .alpha = 10});
  const Checkpoint merged = MergeAdapter(base, adapter);
  ASSERT_EQ(merged.tensors.size(), base.tensors.size());
  int adapted = 0;
  for (const auto& [name, weight] : base.tensors) {
    const std::string stem =
        "base_model.model." + name.substr(0, name.rfind(".weight"));
    const auto a = adapter.tensors.find(stem + ".lora_A.weight");
    const at::Tensor& got = merged.tensors.at(name);
    if (a == adapter.tensors.end()) {
      EXPECT_TRUE(got.is_same(weight)) << name;
      continue;
    }
    ++adapted;
    const at::Tensor expected = MergedByDefinition(
        weight, a->second, adapter.tensors.at(stem + ".lora_B.weight"),
        adapter.options);
    EXPECT_EQ(got.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::allclose(got.to(at::kDouble), expected, 1e-5, 1e-5))
        << name;
  }
  EXPECT_EQ(adapted, 7 * base.config.layers);
}

TEST(MergeAdapterTest, GivesDorasRowsTheirMagnitudes) {
  const Checkpoint base = TinyCheckpoint();
  const Decoder model = *Decoder::Create(base, at::kFloat);
  Adapter adapter =
      *CreateAdapter(model, {.rank = 3, .alpha = 10, .use_dora = true}, 1);
  for (auto& [name, tensor] : adapter.tensors) tensor = at::randn_like(tensor);
  const Checkpoint merged = MergeAdapter(base, adapter);
  const std::string module = "model.layers.1.mlp.down_proj";
  const at::Tensor sum = MergedByDefinition(
      base.tensors.at(module + ".weight"),
      adapter.tensors.at("base_model.model." + module + ".lora_A.weight"),
      adapter.tensors.at("base_model.model." + module + ".lora_B.weight"),
      adapter.options);
  const at::Tensor magnitude =
      adapter.tensors
          .at("base_model.model." + module + ".lora_magnitude_vector")
          .unsqueeze(1);
  EXPECT_TRUE(at::allclose(
      merged.tensors.at(module + ".weight").to(at::kDouble),
      magnitude * sum / sum.norm(2, {1}, /*keepdim=*/true), 1e-5, 1e-5));
}

TEST(MergeAdapterTest, LeavesTheBaseAlone) {
  const Checkpoint base = TinyCheckpoint();
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const at::Tensor before = base.tensors.at(name).clone();
  const Adapter adapter = RandomAdapter(base.config, {.rank = 2});
  const Checkpoint merged = MergeAdapter(base, adapter);
  EXPECT_TRUE(at::equal(base.tensors.at(name), before));
  EXPECT_FALSE(at::equal(merged.tensors.at(name), before));
}

TEST(MergeAdapterTest, AFreshAdapterChangesNothing) {
  const Checkpoint base = TinyCheckpoint();
  const Checkpoint merged =
      MergeAdapter(base, *CreateAdapter(base.config, {}, 1));
  for (const auto& [name, weight] : base.tensors) {
    EXPECT_TRUE(at::equal(merged.tensors.at(name), weight.to(at::kFloat)))
        << name;
  }
}

TEST(MergeAdapterTest, ThrowsForAnAdapterOfAnotherModel) {
  const Checkpoint base = TinyCheckpoint();
  Adapter adapter = *CreateAdapter(base.config, {}, 1);
  adapter.tensors.erase(adapter.tensors.begin());
  EXPECT_THROW(MergeAdapter(base, adapter), std::invalid_argument);
}

}  // namespace
}  // namespace tandem
