#include "model/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/aten.h"
#include "model/decoder.h"
#include "tests/testing/identical_tensors.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::ExpectIdenticalTensors;
using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::HasSubstr;

DecoderConfig SmallConfig() {
  DecoderConfig config;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.layers = 2;
  config.attention_heads = 4;
  config.key_value_heads = 2;
  config.head_size = 8;  // 4 * 8 = 32 differs from hidden_size on purpose
  config.vocabulary_size = 50;
  return config;
}

constexpr char kQProj[] =
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

TEST(CreateAdapterTest, HasTheShapesOfEveryLinear) {
  const auto adapter = CreateAdapter(SmallConfig(), {.rank = 3}, 1);
  ASSERT_THAT(adapter, IsOk());
  EXPECT_EQ(adapter->tensors.size(), 2u * 7 * 2);
  const std::map<std::string, std::pair<int64_t, int64_t>> in_out = {
      {"self_attn.q_proj", {24, 32}}, {"self_attn.k_proj", {24, 16}},
      {"self_attn.v_proj", {24, 16}}, {"self_attn.o_proj", {32, 24}},
      {"mlp.gate_proj", {24, 40}},    {"mlp.up_proj", {24, 40}},
      {"mlp.down_proj", {40, 24}}};
  for (int layer = 0; layer < 2; ++layer) {
    for (const auto& [module, shape] : in_out) {
      const std::string stem = "base_model.model.model.layers." +
                               std::to_string(layer) + "." + module;
      const at::Tensor& a = adapter->tensors.at(stem + ".lora_A.weight");
      const at::Tensor& b = adapter->tensors.at(stem + ".lora_B.weight");
      EXPECT_EQ(a.sizes(), at::IntArrayRef({3, shape.first})) << stem;
      EXPECT_EQ(b.sizes(), at::IntArrayRef({shape.second, 3})) << stem;
      EXPECT_EQ(a.scalar_type(), at::kFloat);
      EXPECT_TRUE(b.eq(0).all().item<bool>()) << stem;
    }
  }
}

TEST(CreateAdapterTest, AIsKaimingUniform) {
  DecoderConfig config = SmallConfig();
  config.hidden_size = 400;
  const auto adapter = CreateAdapter(config, {.rank = 64}, 7);
  ASSERT_THAT(adapter, IsOk());
  const at::Tensor a = adapter->tensors.at(kQProj).to(at::kDouble);
  const double bound = 1 / std::sqrt(400.0);
  EXPECT_LE(a.abs().max().item<double>(), bound);
  EXPECT_GE(a.max().item<double>(), 0.99 * bound);
  EXPECT_LE(a.min().item<double>(), -0.99 * bound);
  // 25,600 draws: the mean's deviation is bound / sqrt(3) / 160.
  EXPECT_NEAR(a.mean().item<double>(), 0, 5 * bound / std::sqrt(3.0) / 160);
  EXPECT_NEAR(a.var().item<double>(), bound * bound / 3, bound * bound / 60);
}

TEST(CreateAdapterTest, EqualSeedsGiveEqualTensors) {
  const auto first = CreateAdapter(SmallConfig(), {}, 5);
  const auto again = CreateAdapter(SmallConfig(), {}, 5);
  const auto other = CreateAdapter(SmallConfig(), {}, 6);
  ASSERT_THAT(first, IsOk());
  ExpectIdenticalTensors(again->tensors, first->tensors);
  EXPECT_FALSE(at::equal(first->tensors.at(kQProj), other->tensors.at(kQProj)));
  EXPECT_FALSE(at::equal(
      first->tensors.at(kQProj),
      first->tensors.at(
          "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight")));
}

TEST(CreateAdapterTest, TakesOnlyTheModulesAskedFor) {
  const auto adapter =
      CreateAdapter(SmallConfig(), {.target_modules = {"v_proj", "q_proj"}}, 1);
  ASSERT_THAT(adapter, IsOk());
  EXPECT_EQ(adapter->tensors.size(), 2u * 2 * 2);
  EXPECT_TRUE(adapter->tensors.contains(kQProj));
}

TEST(CreateAdapterTest, RefusesBadOptions) {
  const DecoderConfig config = SmallConfig();
  EXPECT_THAT(CreateAdapter(config, {.rank = 0}, 1), IsInvalid("rank is 0"));
  EXPECT_THAT(CreateAdapter(config, {.rank = int64_t{1} << 60}, 1),
              IsInvalid("rank is"));
  EXPECT_THAT(CreateAdapter(config, {.dropout = 1}, 1),
              IsInvalid("dropout is 1"));
  EXPECT_THAT(CreateAdapter(config, {.alpha = 0}, 1), IsInvalid("alpha is 0"));
  EXPECT_THAT(
      CreateAdapter(config, {.alpha = std::numeric_limits<double>::quiet_NaN()},
                    1),
      IsInvalid("alpha is nan"));
  EXPECT_THAT(CreateAdapter(config, {.target_modules = {"qkv"}}, 1),
              IsInvalid("'qkv' is not a module that LoRA can adapt; known are "
                        "q_proj, k_proj"));
}

TEST(CreateAdapterTest, ModulesHaveTheRanksOfTheFirstPatternThatMatches) {
  LoraOptions options{.rank = 4};
  options.rank_pattern = {{*ModulePattern::EndOfName("q_proj"), 2},
                          {*ModulePattern::EndOfName("0.self_attn.*"), 3}};
  const auto adapter = CreateAdapter(SmallConfig(), options, 1);
  ASSERT_THAT(adapter, IsOk());
  const auto rank = [&](const std::string& module) {
    return adapter->tensors
        .at("base_model.model.model.layers." + module + ".lora_A.weight")
        .size(0);
  };
  EXPECT_EQ(rank("0.self_attn.q_proj"), 2);
  EXPECT_EQ(rank("0.self_attn.v_proj"), 3);
  EXPECT_EQ(rank("1.self_attn.v_proj"), 4);
  EXPECT_THAT(CheckAdapterTensors(SmallConfig(), options, adapter->tensors),
              IsOk());
  options.rank_pattern[0].value = 0;
  EXPECT_THAT(CreateAdapter(SmallConfig(), options, 1),
              IsInvalid("rank_pattern 'q_proj': LoRA rank is 0"));
}

TEST(CreateAdapterTest, TakesModulesByTheEndOfTheirName) {
  const auto adapter = CreateAdapter(
      SmallConfig(), {.target_modules = {"1.mlp.up_proj", "self_attn.o_proj"}},
      1);
  ASSERT_THAT(adapter, IsOk());
  EXPECT_EQ(adapter->tensors.size(), 3u * 2);
  EXPECT_THAT(CreateAdapter(SmallConfig(), {.target_modules = {"proj"}}, 1),
              IsInvalid("'proj' is not a module"));
}

TEST(CreateAdapterTest, TakesModulesThatAPatternMatches) {
  LoraOptions options;
  options.target_pattern = *ModulePattern::WholeName(R"(.*\.[kv]_proj)");
  const auto adapter = CreateAdapter(SmallConfig(), options, 1);
  ASSERT_THAT(adapter, IsOk());
  EXPECT_EQ(adapter->tensors.size(), 2u * 2 * 2);
  options.target_pattern = *ModulePattern::WholeName("q_proj");
  EXPECT_THAT(CreateAdapter(SmallConfig(), options, 1),
              IsInvalid("no module matches 'q_proj'"));
}

TEST(CreateAdapterTest, DoraStartsFromTheNormsOfTheRows) {
  const Checkpoint base = testing::TinyCheckpoint();
  const Decoder model = *Decoder::Create(base, at::kFloat);
  const LoraOptions options{.rank = 2, .use_dora = true};
  const auto adapter = CreateAdapter(model, options, 1);
  ASSERT_THAT(adapter, IsOk());
  EXPECT_THAT(CheckAdapterTensors(base.config, options, adapter->tensors),
              IsOk());
  const at::Tensor expected =
      base.tensors.at("model.layers.1.mlp.up_proj.weight").norm(2, {1});
  EXPECT_TRUE(at::allclose(
      adapter->tensors.at(
          "base_model.model.model.layers.1.mlp.up_proj.lora_magnitude_vector"),
      expected, 1e-6, 0));
  EXPECT_THAT(CreateAdapter(base.config, options, 1),
              IsInvalid("DoRA's magnitudes start from the weights"));
}

TEST(ModuleScaleTest, FollowsRankAlphaAndRsLora) {
  LoraOptions options{.rank = 4, .alpha = 10};
  EXPECT_DOUBLE_EQ(ModuleScale(options, "a.q_proj"), 2.5);
  options.use_rslora = true;
  EXPECT_DOUBLE_EQ(ModuleScale(options, "a.q_proj"), 5);
  options.alpha_pattern = {{*ModulePattern::EndOfName("q_proj"), 6}};
  options.rank_pattern = {{*ModulePattern::EndOfName("q_proj"), 9}};
  EXPECT_DOUBLE_EQ(ModuleScale(options, "a.q_proj"), 2);
  EXPECT_DOUBLE_EQ(ModuleScale(options, "a.v_proj"), 5);
}

// As Python's re.match(rf"(.*\.)?({key})$", name).
TEST(ModulePatternTest, MatchesTheEndOfAName) {
  const auto matches = [](const std::string& key, const std::string& name) {
    return ModulePattern::EndOfName(key)->Matches(name);
  };
  EXPECT_TRUE(matches("q_proj", "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(matches("q_proj", "q_proj"));
  EXPECT_FALSE(matches("proj", "self_attn.q_proj"));
  EXPECT_FALSE(matches("q_proj", "q_proj.weight"));
  EXPECT_TRUE(matches(R"(layers\.\d+\.mlp\..*)", "model.layers.12.mlp.up"));
  EXPECT_TRUE(matches("^model.*up", "model.layers.12.mlp.up"));
  EXPECT_TRUE(matches("k_proj|q_proj", "a.q_proj"));
  EXPECT_FALSE(matches("(a+)+x", "model." + std::string(200, 'a')));
  EXPECT_THAT(ModulePattern::EndOfName("q_(proj"),
              IsInvalid("'q_(proj' is no regular expression"));
}

class CheckAdapterTensorsTest : public ::testing::Test {
 protected:
  Status Check() {
    return CheckAdapterTensors(SmallConfig(), adapter_.options,
                               adapter_.tensors);
  }
  Adapter adapter_ = *CreateAdapter(SmallConfig(), {.rank = 2}, 1);
};

TEST_F(CheckAdapterTensorsTest, AcceptsWhatCreateAdapterMakes) {
  EXPECT_THAT(Check(), IsOk());
}

TEST_F(CheckAdapterTensorsTest, NamesAMissingTensor) {
  adapter_.tensors.erase(kQProj);
  EXPECT_THAT(Check(), IsInvalid(std::string(kQProj) + "' is missing"));
}

TEST_F(CheckAdapterTensorsTest, NamesAnExtraTensor) {
  adapter_.tensors["surprise"] = at::zeros({1});
  EXPECT_THAT(Check(), IsInvalid("'surprise'"));
}

TEST_F(CheckAdapterTensorsTest, NamesAWrongShape) {
  adapter_.tensors[kQProj] = at::zeros({24, 2});
  EXPECT_THAT(Check(), IsInvalid("shape [24, 2], expected [2, 24]"));
}

TEST_F(CheckAdapterTensorsTest, NamesAWrongDtype) {
  adapter_.tensors[kQProj] = adapter_.tensors[kQProj].to(at::kBFloat16);
  EXPECT_THAT(Check(), IsInvalid("dtype BFloat16, expected Float"));
}

TEST_F(CheckAdapterTensorsTest, NamesAnUndefinedTensor) {
  adapter_.tensors[kQProj] = at::Tensor();
  EXPECT_THAT(Check(), IsInvalid("dtype none"));
}

}  // namespace
}  // namespace tandem
