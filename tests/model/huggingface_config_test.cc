#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/huggingface_folder.h"
#include "model/llama_layout.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

Json Config() {
  return {{"model_type", "llama"},      {"hidden_size", 576},
          {"intermediate_size", 1536},  {"num_hidden_layers", 30},
          {"num_attention_heads", 9},   {"num_key_value_heads", 3},
          {"vocab_size", 49152},        {"max_position_embeddings", 8192},
          {"rms_norm_eps", 1e-5},       {"rope_theta", 100000},
          {"tie_word_embeddings", true}};
}

TEST(HuggingFaceConfig, ReadsAllFields) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const DecoderConfig config,
                              ParseHuggingFaceConfig(Config().dump()));
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.hidden_size, 576);
  EXPECT_EQ(config.intermediate_size, 1536);
  EXPECT_EQ(config.layers, 30);
  EXPECT_EQ(config.attention_heads, 9);
  EXPECT_EQ(config.key_value_heads, 3);
  EXPECT_EQ(config.head_size, 64);
  EXPECT_EQ(config.vocabulary_size, 49152);
  EXPECT_EQ(config.context_length, 8192);
  EXPECT_EQ(config.rms_norm_epsilon, 1e-5);
  EXPECT_EQ(config.rope_theta, 100000);
  EXPECT_TRUE(config.tied_embeddings);
}

// The defaults of transformers' LlamaConfig.
TEST(HuggingFaceConfig, AbsentFieldsTakeTheDefaultsOfTransformers) {
  Json json = Config();
  for (const char* name : {"num_key_value_heads", "rms_norm_eps", "rope_theta",
                           "tie_word_embeddings"}) {
    json.erase(name);
  }
  TANDEM_ASSERT_OK_AND_ASSIGN(const DecoderConfig config,
                              ParseHuggingFaceConfig(json.dump()));
  EXPECT_EQ(config.key_value_heads, 9);
  EXPECT_EQ(config.rms_norm_epsilon, 1e-6);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_FALSE(config.tied_embeddings);
}

TEST(HuggingFaceConfig, ReadsTheRopeParametersOfTransformers5) {
  Json json = Config();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "default"}};
  TANDEM_ASSERT_OK_AND_ASSIGN(const DecoderConfig config,
                              ParseHuggingFaceConfig(json.dump()));
  EXPECT_EQ(config.rope_theta, 5000);
}

struct Change {
  const char* name;
  const char* field;
  const char* value;
  const char* message;
};

class HuggingFaceConfigRefuses : public ::testing::TestWithParam<Change> {};

TEST_P(HuggingFaceConfigRefuses, WhatWouldComputeWrongly) {
  Json json = Config();
  json[GetParam().field] = Json::parse(GetParam().value);
  EXPECT_THAT(
      ParseHuggingFaceConfig(json.dump()),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, HuggingFaceConfigRefuses,
    ::testing::Values(
        Change{"Architecture", "model_type", "\"mamba\"",
               "architecture 'mamba' is not supported, expected one of llama"},
        Change{"ArchitectureType", "model_type", "7", "expected a string"},
        Change{"MissingSize", "hidden_size", "null",
               "'hidden_size' is missing"},
        Change{"NegativeSize", "hidden_size", "-576", "is -576"},
        Change{"FractionalSize", "num_hidden_layers", "30.5", "is 30.5"},
        Change{"TextForSize", "vocab_size", "\"many\"", "is \"many\""},
        Change{"HugeSize", "hidden_size", "18446744073709551615",
               "18446744073709551615"},
        Change{"OverflowingLayers", "num_hidden_layers", "1000000000",
               "layers is 1000000000, expected 1 to 4096"},
        Change{"NoHeads", "num_attention_heads", "0", "num_attention_heads"},
        Change{"UnevenGroups", "num_key_value_heads", "2", "multiple"},
        Change{"MoreGroupsThanHeads", "num_key_value_heads", "18",
               "key_value_heads is 18"},
        Change{"OddHead", "head_dim", "63", "even"},
        Change{"ZeroEpsilon", "rms_norm_eps", "0.0", "rms_norm_epsilon"},
        Change{"TextEpsilon", "rms_norm_eps", "\"1e-5\"", "expected a number"},
        Change{"NegativeTheta", "rope_theta", "-1", "rope_theta is -1"},
        Change{"Activation", "hidden_act", "\"gelu\"", "'gelu'"},
        Change{"AttentionBias", "attention_bias", "true", "attention_bias"},
        Change{"MlpBias", "mlp_bias", "true", "mlp_bias"},
        Change{"RopeScaling", "rope_scaling",
               R"({"rope_type": "llama3", "factor": 8.0})", "'llama3'"},
        Change{"OldRopeScaling", "rope_scaling", R"({"type": "linear"})",
               "'linear'"},
        Change{"RopeScalingIsNoObject", "rope_scaling", "8",
               "expected an object"}),
    [](const auto& info) { return info.param.name; });

TEST(HuggingFaceConfigRefuses, TextThatIsNoObject) {
  for (const char* text :
       {"", "{", "[]", "null", "\"\xff\"", "{\"a\":1e999}"}) {
    EXPECT_THAT(ParseHuggingFaceConfig(text),
                StatusIs(StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(HuggingFaceConfig, IsWrittenForTransformers) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const std::string text,
      FormatHuggingFaceConfig(testing::TinyCheckpoint(), at::kBFloat16));
  const Json json = Json::parse(text);
  EXPECT_EQ(json["architectures"], Json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(json["torch_dtype"], "bfloat16");
  EXPECT_EQ(json["head_dim"], 8);
  EXPECT_EQ(json["eos_token_id"], 2);
  EXPECT_TRUE(json["rope_scaling"].is_null());
}

TEST(LlamaLayout, HuggingFaceRowUndoesTheInterleaving) {
  // Head size 6: rows 0 3 1 4 2 5 of a head stand in the GGUF in this order.
  const int64_t expected[] = {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11};
  for (int64_t row = 0; row < 12; ++row) {
    EXPECT_EQ(HuggingFaceRow(row, 6), expected[row]) << row;
  }
}

TEST(LlamaLayout, AcceptsARandomCheckpointAndNoIntegers) {
  Checkpoint checkpoint = testing::TinyCheckpoint();
  EXPECT_THAT(CheckWeights(checkpoint.config, checkpoint.tensors), IsOk());
  at::Tensor& norm = checkpoint.tensors["model.norm.weight"];
  norm = norm.to(at::kInt);
  EXPECT_THAT(CheckWeights(checkpoint.config, checkpoint.tensors),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("is Int")));
}

}  // namespace
}  // namespace tandem
