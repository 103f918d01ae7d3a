#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <tuple>

#include "common/files.h"
#include "model/adapter.h"
#include "model/aten.h"
#include "model/decoder.h"
#include "model/safetensors.h"
#include "tests/testing/deep_json.h"
#include "tests/testing/identical_tensors.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using nlohmann::json;
using ::tandem::testing::DeepJson;
using ::tandem::testing::ExpectIdenticalTensors;
using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::tandem::testing::TinyDecoderConfig;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kQueryA[] =
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

class AdapterFolderTest : public ::testing::Test {
 protected:
  AdapterFolderTest() {
    for (auto& [name, tensor] : adapter_.tensors) {
      tensor = at::randn_like(tensor);
    }
  }

  void Save() { ASSERT_THAT(SaveAdapter(adapter_, "base", path_), IsOk()); }
  StatusOr<Adapter> Load() { return LoadAdapter(path_, TinyDecoderConfig()); }

  json Config() {
    return json::parse(*ReadFile(path_ / "adapter_config.json"));
  }
  void WriteConfig(const json& config) {
    ASSERT_THAT(
        WriteFileAtomically(path_ / "adapter_config.json", config.dump()),
        IsOk());
  }
  void WriteTensors() {
    ASSERT_THAT(
        WriteSafetensors(path_ / "adapter_model.safetensors", adapter_.tensors),
        IsOk());
  }
  void ExpectRefused(const std::string& message) {
    EXPECT_THAT(Load(),
                StatusIs(StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(path_.string()), HasSubstr(message))));
  }

  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "adapter";
  Adapter adapter_ = *CreateAdapter(
      TinyDecoderConfig(),
      {.rank = 3, .alpha = 7.5, .target_modules = {"q_proj", "down_proj"}}, 1);
};

TEST_F(AdapterFolderTest, LoadsWhatItSaved) {
  Save();
  const auto loaded = Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->options.rank, 3);
  EXPECT_EQ(loaded->options.alpha, 7.5);
  EXPECT_THAT(loaded->options.target_modules,
              ElementsAre("q_proj", "down_proj"));
  ExpectIdenticalTensors(loaded->tensors, adapter_.tensors);
}

TEST_F(AdapterFolderTest, WritesTheConfigThatPeftReads) {
  adapter_.options.target_modules.clear();
  adapter_.options.alpha = 32;
  Save();
  const json config = Config();
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["task_type"], "CAUSAL_LM");
  EXPECT_EQ(config["base_model_name_or_path"], "base");
  EXPECT_EQ(config["r"], 3);
  EXPECT_TRUE(config["lora_alpha"].is_number_integer());
  EXPECT_EQ(config["lora_alpha"], 32);
  EXPECT_EQ(config["target_modules"].size(), 7u);
  EXPECT_EQ(config["bias"], "none");
}

TEST_F(AdapterFolderTest, KeepsEveryOption) {
  LoraOptions options{.rank = 3,
                      .target_modules = {"q_proj", "v_proj"},
                      .use_rslora = true,
                      .use_dora = true,
                      .dropout = 0.25};
  // The first match counts: "v_proj" must stay before ".*_proj".
  options.rank_pattern = {{*ModulePattern::EndOfName("v_proj"), 2},
                          {*ModulePattern::EndOfName(".*_proj"), 4}};
  options.alpha_pattern = {{*ModulePattern::EndOfName("q_proj"), 2.5}};
  adapter_ = *CreateAdapter(
      *Decoder::Create(testing::TinyCheckpoint(), at::kFloat), options, 1);
  Save();
  const auto loaded = Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->tensors.size(), 2u * 2 * 3);
  const LoraOptions& kept = loaded->options;
  EXPECT_TRUE(kept.use_rslora);
  EXPECT_TRUE(kept.use_dora);
  EXPECT_EQ(kept.dropout, 0.25);
  EXPECT_EQ(ModuleRank(kept, "layers.0.v_proj"), 2);
  EXPECT_EQ(ModuleScale(kept, "layers.0.q_proj"), 2.5 / 2);
  EXPECT_TRUE(Config()["rank_pattern"]["v_proj"].is_number_integer());
  EXPECT_FALSE(loaded->dropout_seed.has_value());
}

TEST_F(AdapterFolderTest, ReadsAndWritesAPatternOfModules) {
  Save();
  json config = Config();
  config["target_modules"] = ".*\\.(q|down)_proj";
  WriteConfig(config);
  adapter_ = *Load();
  EXPECT_EQ(adapter_.tensors.size(), 2u * 2 * 2);
  Save();
  EXPECT_EQ(Config()["target_modules"], ".*\\.(q|down)_proj");
}

TEST_F(AdapterFolderTest, AllLinearMeansAllSeven) {
  adapter_ = *CreateAdapter(TinyDecoderConfig(), {.rank = 3}, 1);
  Save();
  json config = Config();
  config["target_modules"] = "all-linear";
  WriteConfig(config);
  EXPECT_THAT(Load(), IsOk());
}

TEST_F(AdapterFolderTest, SavesTensorsThatTrain) {
  adapter_.tensors[kQueryA].requires_grad_(true);
  Save();
  const auto loaded = Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_FALSE(loaded->tensors.at(kQueryA).requires_grad());
}

TEST_F(AdapterFolderTest, HalfPrecisionBecomesFloat) {
  Save();
  for (auto& [name, tensor] : adapter_.tensors) tensor = tensor.to(at::kHalf);
  WriteTensors();
  const auto loaded = Load();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->tensors.at(kQueryA).scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(loaded->tensors.at(kQueryA),
                        adapter_.tensors.at(kQueryA).to(at::kFloat)));
}

TEST_F(AdapterFolderTest, RefusesUnsupportedFeaturesByName) {
  Save();
  const json plain = Config();
  const std::vector<std::tuple<std::string, json, std::string>> features = {
      {"use_qalora", true, "true"},
      {"modules_to_save", json::array({"lm_head"}), "an array"},
      {"bias", "all", "\"all\""},
      {"lora_bias", true, "true"},
      {"fan_in_fan_out", true, "true"},
      {"layers_to_transform", json::array({0}), "an array"},
      {"init_lora_weights", "pissa", "\"pissa\""}};
  for (const auto& [feature, value, shown] : features) {
    json config = plain;
    config[feature] = value;
    WriteConfig(config);
    ExpectRefused(feature + " is " + shown);
  }
}

TEST_F(AdapterFolderTest, AcceptsWhatPeftWritesForFeaturesNotInUse) {
  Save();
  json config = Config();
  for (const char* absent : {"bias", "use_dora", "rank_pattern"}) {
    config.erase(absent);
  }
  config["modules_to_save"] = nullptr;
  config["exclude_modules"] = json::array();
  config["init_lora_weights"] = "gaussian";
  config["some_future_field"] = 1;
  WriteConfig(config);
  EXPECT_THAT(Load(), IsOk());
}

TEST_F(AdapterFolderTest, NamesWhatIsWrongInTheConfig) {
  Save();
  const json plain = Config();
  const std::vector<std::tuple<std::string, json, std::string>> cases = {
      {"peft_type", "IA3", "peft_type is \"IA3\", expected \"LORA\""},
      {"r", "3", "r is \"3\", expected an integer"},
      {"r", 0, "rank is 0"},
      {"r", 2.5, "r is 2.5, expected an integer"},
      {"lora_alpha", nullptr, "lora_alpha is null, expected a number"},
      {"lora_alpha", -1, "alpha is -1"},
      {"target_modules", "q_(", "'q_(' is no regular expression"},
      {"target_modules", "lm_head", "no module matches 'lm_head'"},
      {"rank_pattern", {"q_proj"}, "rank_pattern is an array, expected"},
      {"rank_pattern", {{"q_proj", 1.5}}, "rank_pattern 'q_proj' is 1.5"},
      {"rank_pattern", {{"q_proj", -1}}, "LoRA rank is -1"},
      {"alpha_pattern", {{"(", 1}}, "'(' is no regular expression"},
      {"alpha_pattern", {{"q_proj", "x"}}, "expected a number"},
      {"use_dora", 1, "use_dora is 1, expected true or false"},
      {"use_dora", true, "lora_magnitude_vector' is missing"},
      {"lora_dropout", 1.5, "dropout is 1.5"},
      {"target_modules", json::array(), "target_modules is an array"},
      {"target_modules", {1}, "target_modules holds 1"},
      {"target_modules", {"lm_head"}, "'lm_head' is not a module"}};
  for (const auto& [field, value, message] : cases) {
    json config = plain;
    config[field] = value;
    WriteConfig(config);
    ExpectRefused(message);
  }
  WriteConfig(json::array());
  ExpectRefused("not a JSON object");
}

TEST_F(AdapterFolderTest, RefusesAConfigThatIsNoJson) {
  Save();
  ASSERT_THAT(WriteFileAtomically(path_ / "adapter_config.json", "{\"r\": "),
              IsOk());
  ExpectRefused("not a JSON object");
  ASSERT_THAT(WriteFileAtomically(path_ / "adapter_config.json",
                                  R"({"use_qalora": )" + DeepJson() + "}"),
              IsOk());
  ExpectRefused("nested 1000001 levels deep");
}

TEST_F(AdapterFolderTest, RefusesTensorsThatDoNotFit) {
  Save();
  const at::Tensor a = adapter_.tensors[kQueryA];
  adapter_.tensors[kQueryA] = a.t().contiguous();
  WriteTensors();
  ExpectRefused("'" + std::string(kQueryA) + "' has shape");
  adapter_.tensors[kQueryA] = a.to(at::kLong);
  WriteTensors();
  ExpectRefused("has dtype Long, expected a float");
  adapter_.tensors.erase(kQueryA);
  WriteTensors();
  ExpectRefused("is missing");
}

TEST_F(AdapterFolderTest, NamesAnotherVocabulary) {
  Save();
  const std::string name = "base_model.model.model.embed_tokens.weight";
  adapter_.tensors[name] = at::zeros({300, 32});
  WriteTensors();
  ExpectRefused("'" + name + "' has 300 rows, the base model's vocabulary 261");
  adapter_.tensors[name] = at::zeros({261, 32});
  WriteTensors();
  ExpectRefused("is not part of this adapter");
}

TEST_F(AdapterFolderTest, MissingFilesAreNotFound) {
  EXPECT_THAT(Load(),
              StatusIs(StatusCode::kNotFound, HasSubstr("adapter_config")));
  Save();
  std::filesystem::remove(path_ / "adapter_model.safetensors");
  EXPECT_THAT(Load(), StatusIs(StatusCode::kNotFound,
                               HasSubstr("adapter_model.safetensors")));
}

}  // namespace
}  // namespace tandem
