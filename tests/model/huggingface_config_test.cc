#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/aten.h"
#include "model/huggingface_folder.h"
#include "model/weight_layout.h"
#include "tests/testing/deep_json.h"
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
               "architecture 'mamba' is not supported, expected one of llama, "
               "qwen2, qwen3, gemma3_text"},
        Change{"ArchitectureType", "model_type", "7", "expected a string"},
        Change{"MissingSize", "hidden_size", "null",
               "'hidden_size' is missing"},
        Change{"NegativeSize", "hidden_size", "-576", "is -576"},
        Change{"FractionalSize", "num_hidden_layers", "30.5", "is 30.5"},
        Change{"TextForSize", "vocab_size", "\"many\"", "is \"many\""},
        Change{"HugeSize", "hidden_size", "18446744073709551615",
               "18446744073709551615"},
        Change{"OverflowingLayers", "num_hidden_layers", "1000000000",
               "is 1000000000, expected an integer from 1 to 4096"},
        Change{"NoHeads", "num_attention_heads", "0", "num_attention_heads"},
        Change{"UnevenGroups", "num_key_value_heads", "2", "multiple"},
        Change{"MoreGroupsThanHeads", "num_key_value_heads", "18",
               "key_value_heads is 18"},
        Change{"OddHead", "head_dim", "63", "even"},
        Change{"ZeroEpsilon", "rms_norm_eps", "0.0", "rms_norm_epsilon"},
        Change{"TextEpsilon", "rms_norm_eps", "\"1e-5\"", "expected a number"},
        Change{"NegativeTheta", "rope_theta", "-1", "rope_theta is -1"},
        Change{"Activation", "hidden_act", "\"gelu\"", "'gelu'"},
        Change{"MlpBias", "mlp_bias", "true", "mlp_bias"},
        Change{"PartialRotation", "partial_rotary_factor", "0.5",
               "'partial_rotary_factor' is 0.5"},
        Change{"AttentionSoftCap", "attn_logit_softcapping", "50.0",
               "'attn_logit_softcapping' is 50.0"},
        Change{"FinalSoftCap", "final_logit_softcapping", "30.0",
               "'final_logit_softcapping'"},
        Change{"Experts", "num_local_experts", "8", "'num_local_experts' is 8"},
        Change{"Quantised", "quantization_config", R"({"bits": 4})",
               "'quantization_config'"},
        Change{"QwensWindow", "use_sliding_window", "true",
               "'use_sliding_window' asks for a sliding window"},
        Change{"WindowedLayers", "layer_types", R"(["sliding_attention"])",
               "'layer_types' asks for a sliding window"},
        Change{"LayerType", "layer_types", R"(["linear_attention"])",
               "\"linear_attention\""},
        Change{"Yarn", "rope_scaling",
               R"({"rope_type": "yarn", "factor": 8.0})", "'yarn'"},
        Change{"OldRopeScaling", "rope_scaling", R"({"type": "dynamic"})",
               "'dynamic'"},
        Change{"Llama3WithoutBands", "rope_scaling",
               R"({"rope_type": "llama3", "factor": 8.0})",
               "'low_freq_factor'"},
        Change{"Llama3WithEmptyBand", "rope_scaling",
               R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4,
                   "high_freq_factor": 4,
                   "original_max_position_embeddings": 8192})",
               "high_frequency_factor is 4"},
        Change{"LinearWithoutFactor", "rope_scaling", R"({"type": "linear"})",
               "factor is 0"},
        Change{"RopeScalingIsNoObject", "rope_scaling", "8",
               "expected an object"}),
    [](const auto& info) { return info.param.name; });

TEST(HuggingFaceConfig, ReadsLlama3Scaling) {
  Json json = Config();
  json["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 32.0},
                          {"low_freq_factor", 1.5},
                          {"high_freq_factor", 5.0},
                          {"original_max_position_embeddings", 4096}};
  json["attention_bias"] = true;
  TANDEM_ASSERT_OK_AND_ASSIGN(const DecoderConfig config,
                              ParseHuggingFaceConfig(json.dump()));
  EXPECT_TRUE(config.attention_bias);
  EXPECT_EQ(config.rope_scaling.type, RopeScaling::Type::kLlama3);
  EXPECT_EQ(config.rope_scaling.factor, 32);
  EXPECT_EQ(config.rope_scaling.low_frequency_factor, 1.5);
  EXPECT_EQ(config.rope_scaling.high_frequency_factor, 5);
  EXPECT_EQ(config.rope_scaling.original_context_length, 4096);
}

Json GemmaConfig() {
  Json json = Config();
  json["model_type"] = "gemma3_text";
  json["num_attention_heads"] = 4;
  json["num_key_value_heads"] = 1;
  json["num_hidden_layers"] = 7;
  json.erase("rope_theta");
  json.erase("tie_word_embeddings");
  return json;
}

TEST(HuggingFaceConfig, GemmaTakesTheDefaultsOfTransformers) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const DecoderConfig config,
                              ParseHuggingFaceConfig(GemmaConfig().dump()));
  EXPECT_EQ(config.architecture, "gemma3");
  EXPECT_EQ(config.head_size, 256);
  EXPECT_EQ(config.query_scalar, 256);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_EQ(config.local_rope_theta, 1e4);
  EXPECT_EQ(config.sliding_window, 4096);
  EXPECT_EQ(config.windowed_layers,
            (std::vector<bool>{true, true, true, true, true, false, true}));
  EXPECT_TRUE(config.tied_embeddings);
}

TEST(HuggingFaceConfig, GemmaReadsTheRopeParametersOfTransformers5) {
  Json json = GemmaConfig();
  json["rope_parameters"] = {
      {"full_attention",
       {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 2e6}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}};
  TANDEM_ASSERT_OK_AND_ASSIGN(const DecoderConfig config,
                              ParseHuggingFaceConfig(json.dump()));
  EXPECT_EQ(config.rope_theta, 2e6);
  EXPECT_EQ(config.local_rope_theta, 2e4);
  EXPECT_EQ(config.rope_scaling.type, RopeScaling::Type::kLinear);
  EXPECT_EQ(config.rope_scaling.factor, 8);
}

TEST(HuggingFaceConfig, LayerTypesHaveTheLastWordOnWindows) {
  Json json = GemmaConfig();
  json["num_hidden_layers"] = 3;
  json["sliding_window_pattern"] = 2;
  TANDEM_ASSERT_OK_AND_ASSIGN(DecoderConfig config,
                              ParseHuggingFaceConfig(json.dump()));
  EXPECT_EQ(config.windowed_layers, (std::vector<bool>{true, false, true}));
  json["layer_types"] = {"full_attention", "full_attention",
                         "sliding_attention"};
  TANDEM_ASSERT_OK_AND_ASSIGN(config, ParseHuggingFaceConfig(json.dump()));
  EXPECT_EQ(config.windowed_layers, (std::vector<bool>{false, false, true}));
  json["layer_types"].erase(0);
  EXPECT_THAT(ParseHuggingFaceConfig(json.dump()),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("names 2 layers, expected 3")));
}

TEST(HuggingFaceConfigRefuses, WhatGemmaAloneCouldAskFor) {
  struct Field {
    const char *name, *value, *message;
  };
  for (const Field& field :
       {Field{"use_bidirectional_attention", "true", "'use_bidirectional"},
        Field{"attention_bias", "true", "'attention_bias' is true"},
        Field{"hidden_activation", "\"gelu\"", "'hidden_activation'"},
        Field{"sliding_window", "0", "'sliding_window'"},
        Field{"query_pre_attn_scalar", "-1", "query_scalar is -1"},
        Field{"rope_local_base_freq", "0.0", "local_rope_theta is 0"}}) {
    Json json = GemmaConfig();
    json[field.name] = Json::parse(field.value);
    EXPECT_THAT(
        ParseHuggingFaceConfig(json.dump()),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr(field.message)));
  }
}

TEST(HuggingFaceConfigRefuses, TextThatIsNoObject) {
  for (const char* text :
       {"", "{", "[]", "null", "\"\xff\"", "{\"a\":1e999}"}) {
    EXPECT_THAT(ParseHuggingFaceConfig(text),
                StatusIs(StatusCode::kInvalidArgument))
        << text;
  }
}

// Copies of nested JSON take stack.
TEST(HuggingFaceConfigRefuses, DeepNesting) {
  const std::string deep = testing::DeepJson();
  EXPECT_THAT(ParseHuggingFaceConfig(R"({"rope_scaling": )" + deep + "}"),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("nested 1000001 levels deep, at most 100")));
  Json json = Config();
  json["name"] = R"(a text with "[ and \)" + std::string(200, '[');
  EXPECT_THAT(ParseHuggingFaceConfig(json.dump()), IsOk());
}

// Not even their windows are laid out.
TEST(HuggingFaceConfigRefuses, AbsurdNumbersOfLayers) {
  Json json = GemmaConfig();
  json["num_hidden_layers"] = int64_t{1} << 40;
  EXPECT_THAT(ParseHuggingFaceConfig(json.dump()),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("'num_hidden_layers' is 1099511627776")));
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

TEST(WeightLayout, HuggingFaceRowUndoesTheInterleaving) {
  // Head size 6: rows 0 3 1 4 2 5 of a head stand in the GGUF in this order.
  const int64_t expected[] = {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11};
  for (int64_t row = 0; row < 12; ++row) {
    EXPECT_EQ(HuggingFaceRow(row, 6), expected[row]) << row;
  }
}

TEST(WeightLayout, AcceptsARandomCheckpointAndNoIntegers) {
  Checkpoint checkpoint = testing::TinyCheckpoint();
  EXPECT_THAT(CheckWeights(checkpoint.config, checkpoint.tensors), IsOk());
  at::Tensor& norm = checkpoint.tensors["model.norm.weight"];
  norm = norm.to(at::kInt);
  EXPECT_THAT(CheckWeights(checkpoint.config, checkpoint.tensors),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("is Int")));
}

}  // namespace
}  // namespace tandem
