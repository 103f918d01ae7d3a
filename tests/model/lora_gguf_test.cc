#include "model/lora_gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/files.h"
#include "model/adapted_linears.h"
#include "model/aten.h"
#include "model/gguf_reader.h"
#include "model/gguf_writer.h"
#include "tests/testing/identical_tensors.h"
#include "tests/testing/make_tensor.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::ExpectIdenticalTensors;
using ::tandem::testing::IsOk;
using ::tandem::testing::RandomTensor;
using ::tandem::testing::StatusIs;
using ::tandem::testing::TempFolder;
using ::tandem::testing::TinyDecoderConfig;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kQueryB[] =
    "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";

// A file made of whatever a test wants to be wrong.
struct LoraFile {
  std::string type = "adapter", adapter_type = "lora", architecture = "llama";
  float alpha = 4;
  std::map<std::string, std::vector<int64_t>> tensors;

  Status Write(const std::filesystem::path& path) const {
    GgufWriter writer;
    writer.AddText("general.architecture", architecture);
    writer.AddText("general.type", type);
    writer.AddText("adapter.type", adapter_type);
    writer.AddFloat32("adapter.lora.alpha", alpha);
    for (const auto& [name, shape] : tensors) {
      writer.AddTensor(name, shape, FormatOf(GgmlType::kF32), [shape = shape] {
        size_t bytes = sizeof(float);
        for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
        return StatusOr<std::string>(std::string(bytes, '\0'));
      });
    }
    return writer.Write(path);
  }
};

Adapter RandomAdapter(const LoraOptions& options) {
  Adapter adapter = *CreateAdapter(TinyDecoderConfig(), options, 1);
  uint64_t seed = 0;
  for (auto& [name, tensor] : adapter.tensors) {
    tensor = RandomTensor(tensor.sizes(), ++seed);
  }
  return adapter;
}

class LoraGgufTest : public ::testing::Test {
 protected:
  LoraGgufTest() {
    for (int64_t layer = 0; layer < 2; ++layer) {
      const auto name = fmt::format("blk.{}.attn_q.weight.", layer);
      file_.tensors[name + "lora_a"] = {3, 32};
      file_.tensors[name + "lora_b"] = {32, 3};
    }
  }

  void ExpectRefused(const std::string& message) {
    ASSERT_THAT(file_.Write(path_), IsOk());
    EXPECT_THAT(LoadLoraGguf(path_, TinyDecoderConfig()),
                StatusIs(StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(path_.string()), HasSubstr(message))));
  }

  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "lora.gguf";
  LoraFile file_;
};

TEST_F(LoraGgufTest, LoadAdapterReadsWhatWasSaved) {
  const Adapter saved = RandomAdapter(
      {.rank = 3, .alpha = 7.5, .target_modules = {"down_proj", "q_proj"}});
  ASSERT_THAT(SaveLoraGguf(saved, TinyDecoderConfig(), path_), IsOk());
  const auto loaded = LoadAdapter(path_, TinyDecoderConfig());
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(loaded->options.rank, 3);
  EXPECT_EQ(loaded->options.alpha, 7.5);
  EXPECT_THAT(loaded->options.target_modules,
              ElementsAre("q_proj", "down_proj"));
  ExpectIdenticalTensors(loaded->tensors, saved.tensors);
}

TEST_F(LoraGgufTest, EveryModuleKeepsItsOwnRank) {
  const LoraOptions options = {
      .rank = 3,
      .alpha = 6,
      .target_modules = {"q_proj", "up_proj"},
      .rank_pattern = {{*ModulePattern::EndOfName("1.self_attn.q_proj"), 5},
                       {*ModulePattern::EndOfName("0.mlp.up_proj"), 2}}};
  const Adapter saved = RandomAdapter(options);
  ASSERT_THAT(SaveLoraGguf(saved, TinyDecoderConfig(), path_), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Adapter loaded,
                              LoadAdapter(path_, TinyDecoderConfig()));
  ExpectIdenticalTensors(loaded.tensors, saved.tensors);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const std::vector<AdaptedLinear> linears,
      AdaptedLinears(TinyDecoderConfig(), loaded.options));
  for (const AdaptedLinear& linear : linears) {
    EXPECT_EQ(linear.rank, ModuleRank(options, linear.module));
    EXPECT_EQ(linear.scale, ModuleScale(options, linear.module));
  }
}

// llama.cpp scales every module by the file's alpha / rank: rsLoRA changes the
// alpha, and what patterns ask for besides goes into B.
TEST_F(LoraGgufTest, EveryModuleKeepsItsOwnScale) {
  LoraOptions options = {
      .rank = 4, .alpha = 6, .target_modules = {"q_proj", "up_proj"}};
  options.use_rslora = true;
  options.alpha_pattern = {{*ModulePattern::EndOfName("1.mlp.up_proj"), 24}};
  const Adapter saved = RandomAdapter(options);
  ASSERT_THAT(SaveLoraGguf(saved, TinyDecoderConfig(), path_), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Adapter loaded,
                              LoadAdapter(path_, TinyDecoderConfig()));
  EXPECT_FALSE(loaded.options.use_rslora);
  EXPECT_EQ(loaded.options.alpha, 12);  // 12 / 4 = 6 / sqrt(4)
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const std::vector<AdaptedLinear> linears,
      AdaptedLinears(TinyDecoderConfig(), saved.options));
  for (const AdaptedLinear& linear : linears) {
    const bool is_other = linear.module.ends_with("1.mlp.up_proj");
    EXPECT_EQ(linear.scale, is_other ? 12 : 3) << linear.module;
    const std::string b = LoraBName(linear.module);
    EXPECT_TRUE(
        at::equal(loaded.tensors.at(b) * 3, saved.tensors.at(b) * linear.scale))
        << linear.module;
    EXPECT_TRUE(at::equal(loaded.tensors.at(LoraAName(linear.module)),
                          saved.tensors.at(LoraAName(linear.module))));
  }
}

TEST_F(LoraGgufTest, MagnitudesAreRefused) {
  Adapter saved = RandomAdapter({.rank = 4});
  saved.options.use_dora = true;
  EXPECT_THAT(SaveLoraGguf(saved, TinyDecoderConfig(), path_),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("export a merged model")));
}

// The definition in convert_hf_to_gguf.py: reshape(heads, 2, d / 2, r),
// swapaxes(1, 2); A keeps its rows, which are ranks.
TEST_F(LoraGgufTest, RowsOfQueriesAreInterleavedInBAlone) {
  Adapter saved = *CreateAdapter(TinyDecoderConfig(),
                                 {.rank = 3, .target_modules = {"q_proj"}}, 1);
  saved.tensors[kQueryB] = RandomTensor({32, 3}, 5);
  ASSERT_THAT(SaveLoraGguf(saved, TinyDecoderConfig(), path_), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file, ReadGguf(path_));
  const auto raw = [&](const std::string& factor) {
    const GgufTensor& tensor =
        file.tensors.at("blk.1.attn_q.weight.lora_" + factor);
    return at::from_blob(const_cast<std::byte*>(tensor.data.data()),
                         tensor.shape, at::kFloat);
  };
  EXPECT_TRUE(raw("b").equal(saved.tensors.at(kQueryB)
                                 .view({4, 2, 4, 3})
                                 .transpose(1, 2)
                                 .reshape({32, 3})));
  std::string a_name = kQueryB;
  a_name.replace(a_name.find("lora_B"), 6, "lora_A");
  EXPECT_TRUE(raw("a").equal(saved.tensors.at(a_name)));
}

TEST_F(LoraGgufTest, AWellFormedFileIsRead) {
  ASSERT_THAT(file_.Write(path_), IsOk());
  EXPECT_THAT(LoadLoraGguf(path_, TinyDecoderConfig()), IsOk());
}

TEST_F(LoraGgufTest, OtherKindsOfFileAreRefused) {
  file_.type = "model";
  ExpectRefused("key 'general.type' is 'model', expected 'adapter'");
  file_.type = "adapter";
  file_.adapter_type = "control-vector";
  ExpectRefused("key 'adapter.type' is 'control-vector', expected 'lora'");
}

TEST_F(LoraGgufTest, AnotherArchitectureIsRefused) {
  file_.architecture = "gemma3";
  ExpectRefused("key 'general.architecture' is 'gemma3', expected 'llama'");
}

TEST_F(LoraGgufTest, ShapesThatDoNotFitTheModelAreRefused) {
  file_.tensors["blk.1.attn_q.weight.lora_a"] = {3, 64};
  ExpectRefused(
      "tensor 'blk.1.attn_q.weight.lora_a' has the shape [3, 64], expected "
      "[any, 32]");
}

TEST_F(LoraGgufTest, FactorsOfUnequalRankAreRefused) {
  file_.tensors["blk.0.attn_q.weight.lora_b"] = {32, 4};
  ExpectRefused("'blk.0.attn_q.weight.lora_b' has the shape [32, 4]");
}

TEST_F(LoraGgufTest, MissingFactorsAreNamed) {
  file_.tensors.erase("blk.1.attn_q.weight.lora_b");
  ExpectRefused("tensor 'blk.1.attn_q.weight.lora_b' is missing");
}

TEST_F(LoraGgufTest, TensorsOfOtherModelsAreNamed) {
  file_.tensors["blk.2.attn_q.weight.lora_a"] = {3, 32};
  ExpectRefused("tensor 'blk.2.attn_q.weight.lora_a' adapts no linear");
  file_.tensors.clear();
  ExpectRefused("there are no tensors");
}

TEST_F(LoraGgufTest, AlphaMustBePositive) {
  for (const float alpha : {0.0f, -1.0f, NAN, INFINITY}) {
    file_.alpha = alpha;
    ExpectRefused("LoRA alpha is");
  }
}

TEST_F(LoraGgufTest, OnlyAnAdapterOfThisModelIsSaved) {
  Adapter adapter = *CreateAdapter(TinyDecoderConfig(), {.rank = 3}, 1);
  adapter.tensors.erase(kQueryB);
  EXPECT_THAT(SaveLoraGguf(adapter, TinyDecoderConfig(), path_),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr(kQueryB)));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace tandem
