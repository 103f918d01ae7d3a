// Every architecture through both kinds of files, and what these cannot say.
#include "model/architecture.h"

#include <gmock/gmock.h>

#include <functional>

#include "model/checkpoint.h"
#include "model/gguf_config.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;

Checkpoint TinyOf(const DecoderConfig& config) {
  Checkpoint checkpoint = testing::RandomCheckpoint(config, 3);
  checkpoint.tokenizer = testing::TinyTokenizerData();
  return checkpoint;
}

Checkpoint TinyOf(const std::string& architecture) {
  return TinyOf(testing::TinyDecoderConfig(architecture));
}

// A GGUF holds Gemma's norms plus one, which rounds.
void ExpectSameTensors(const TensorMap& a, const TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    EXPECT_TRUE(b.at(name).allclose(tensor, 0, 2e-7)) << name;
  }
}

class FilesOf : public ::testing::TestWithParam<const char*> {};

TEST_P(FilesOf, RoundTripThroughAHuggingFaceFolder) {
  const Checkpoint saved = TinyOf(GetParam());
  TempFolder folder;
  ASSERT_THAT(SaveHuggingFace(saved, at::kFloat, folder.path()), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                              LoadCheckpoint(folder.path()));
  ExpectSameTensors(saved.tensors, loaded.tensors);
  EXPECT_EQ(Digest(loaded), Digest(saved));
}

TEST_P(FilesOf, RoundTripThroughAGguf) {
  Checkpoint saved = TinyOf(GetParam());
  TempFolder folder;
  ASSERT_THAT(SaveGguf(saved, "f32", folder / "a.gguf"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                              LoadCheckpoint(folder / "a.gguf"));
  ExpectSameTensors(saved.tensors, loaded.tensors);
  saved.tensors = loaded.tensors;
  EXPECT_EQ(Digest(loaded), Digest(saved));
}

INSTANTIATE_TEST_SUITE_P(Architectures, FilesOf,
                         ::testing::Values("llama", "qwen2", "qwen3",
                                           "gemma3"));

TEST(FindArchitecture, ListsTheKnownOnes) {
  EXPECT_THAT(FindArchitecture("gemma2"),
              StatusIs(StatusCode::kInvalidArgument,
                       "architecture 'gemma2' is not supported, expected one "
                       "of llama, qwen2, qwen3, gemma3"));
  EXPECT_EQ(FindModelType("gemma3_text").value()->name, "gemma3");
}

Status SaveChanged(const std::string& architecture,
                   const std::function<void(DecoderConfig&)>& change) {
  DecoderConfig config = testing::TinyDecoderConfig(architecture);
  change(config);
  TempFolder folder;
  return SaveGguf(TinyOf(config), "f32", folder / "a.gguf");
}

TEST(SaveGguf, RefusesWhatNoKeyCanSay) {
  const auto invalid = StatusCode::kInvalidArgument;
  EXPECT_THAT(SaveChanged("gemma3", [](auto& c) { c.query_scalar = 20; }),
              StatusIs(invalid, HasSubstr("query_pre_attn_scalar is 20")));
  EXPECT_THAT(SaveChanged("gemma3",
                          [](auto& c) {
                            c.windowed_layers = {true, false, false, true};
                          }),
              StatusIs(invalid, HasSubstr("period")));
  EXPECT_THAT(SaveChanged("qwen3",
                          [](auto& c) {
                            c.rope_scaling.type = RopeScaling::Type::kLlama3;
                            c.rope_scaling.factor = 8;
                          }),
              StatusIs(invalid, HasSubstr("rope scaling is llama3")));
}

// The configuration of a tiny GGUF after a change of its metadata.
StatusOr<DecoderConfig> ConfigAfter(
    const std::string& architecture,
    const std::function<void(std::map<std::string, GgufValue>&)>& change) {
  TempFolder folder;
  TANDEM_RETURN_IF_ERROR(
      SaveGguf(TinyOf(architecture), "f32", folder / "a.gguf"));
  TANDEM_ASSIGN_OR_RETURN(GgufFile file, ReadGguf(folder / "a.gguf"));
  change(file.metadata);
  return ConfigOfGguf(file);
}

// Not even their windows are laid out.
TEST(ConfigOfGguf, RefusesAbsurdNumbersOfLayers) {
  EXPECT_THAT(
      ConfigAfter(
          "gemma3",
          [](auto& keys) { keys["gemma3.block_count"] = uint64_t{1} << 40; }),
      StatusIs(StatusCode::kInvalidArgument, HasSubstr("gemma3.block_count")));
}

// llama.cpp's default, and the key of older files.
TEST(ConfigOfGguf, RopeScalingIsLinearWhereNoTypeIsNamed) {
  for (const char* key :
       {"qwen2.rope.scaling.factor", "qwen2.rope.scale_linear"}) {
    TANDEM_ASSERT_OK_AND_ASSIGN(
        DecoderConfig config,
        ConfigAfter("qwen2", [&](auto& keys) { keys[key] = 4.0; }));
    EXPECT_EQ(config.rope_scaling.type, RopeScaling::Type::kLinear) << key;
    EXPECT_EQ(config.rope_scaling.factor, 4) << key;
    TANDEM_ASSERT_OK_AND_ASSIGN(config, ConfigAfter("qwen2", [&](auto& keys) {
                                  keys[key] = 4.0;
                                  keys["qwen2.rope.scaling.type"] =
                                      std::string("none");
                                }));
    EXPECT_EQ(config.rope_scaling.type, RopeScaling::Type::kNone) << key;
  }
}

TEST(CheckDecoderConfig, RefusesWindowsWhereThereAreNone) {
  EXPECT_THAT(SaveChanged("qwen2",
                          [](auto& c) {
                            c.windowed_layers = {true, false};
                            c.sliding_window = 4;
                          }),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("a qwen2 has no layers with a sliding")));
}

TEST(WeightsOf, InterleavesBiasesOfLlamaToo) {
  int interleaved = 0;
  for (const WeightLayout& weight :
       WeightsOf(testing::TinyDecoderConfig("llama"))) {
    if (!weight.name.ends_with(".bias")) continue;
    EXPECT_EQ(weight.shape.size(), 1u);
    interleaved += weight.interleaved_heads > 0;
  }
  EXPECT_EQ(interleaved, 4);  // q and k of two layers
}

TEST(PeriodicWindows, LeaveEveryPeriodthLayerWhole) {
  EXPECT_EQ(PeriodicWindows(4, 3),
            (std::vector<bool>{true, true, false, true}));
  EXPECT_EQ(PeriodicWindows(2, 1), (std::vector<bool>{false, false}));
}

}  // namespace
}  // namespace tandem
