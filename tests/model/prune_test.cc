#include <gmock/gmock.h>

#include "model/aten.h"
#include "model/checkpoint.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

// Layers told apart by the values of their norms.
Checkpoint NumberedLayers(int64_t layers) {
  DecoderConfig config = testing::TinyDecoderConfig();
  config.layers = layers;
  Checkpoint checkpoint = testing::RandomCheckpoint(config, 1);
  checkpoint.tokenizer = testing::TinyTokenizerData();
  for (int64_t i = 0; i < layers; ++i) {
    checkpoint
        .tensors[fmt::format("model.layers.{}.input_layernorm.weight", i)] =
        at::full({config.hidden_size}, static_cast<double>(i));
  }
  return checkpoint;
}

std::vector<int64_t> LayersOf(const Checkpoint& checkpoint) {
  std::vector<int64_t> layers;
  for (int64_t i = 0; i < checkpoint.config.layers; ++i) {
    layers.push_back(
        checkpoint.tensors
            .at(fmt::format("model.layers.{}.input_layernorm.weight", i))[0]
            .item<int64_t>());
  }
  return layers;
}

TEST(KeepLayers, KeepsTwentyFourOfThirtyEvenlySpaced) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint pruned,
                              KeepLayers(NumberedLayers(30), 24));
  const std::vector<int64_t> layers = LayersOf(pruned);
  ASSERT_EQ(layers.size(), 24u);
  EXPECT_EQ(layers.front(), 0);
  EXPECT_EQ(layers.back(), 29);
  int doubles = 0;  // where one layer is skipped
  for (size_t i = 1; i < layers.size(); ++i) {
    EXPECT_GE(layers[i] - layers[i - 1], 1);
    EXPECT_LE(layers[i] - layers[i - 1], 2);
    doubles += layers[i] - layers[i - 1] == 2;
    // Never more than half a layer away from even spacing.
    EXPECT_LE(std::abs(static_cast<double>(layers[i]) -
                       29.0 * static_cast<double>(i) / 23.0),
              0.5);
  }
  EXPECT_EQ(doubles, 6);
  EXPECT_EQ(pruned.tensors.size(), 24u * 9 + 2);
}

TEST(KeepLayers, KeepsAllOrTheTwoEnds) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint all,
                              KeepLayers(NumberedLayers(5), 5));
  EXPECT_EQ(LayersOf(all), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint ends,
                              KeepLayers(NumberedLayers(5), 2));
  EXPECT_EQ(LayersOf(ends), (std::vector<int64_t>{0, 4}));
}

TEST(KeepLayers, RefusesFewerThanTwoAndMoreThanThereAre) {
  for (const int64_t keep : {-1, 0, 1, 6}) {
    EXPECT_THAT(
        KeepLayers(NumberedLayers(5), keep),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("expected 2 to 5")));
  }
}

TEST(KeepLayers, KeepsEachLayersWindow) {
  const Checkpoint gemma =
      testing::RandomCheckpoint(testing::TinyDecoderConfig("gemma3"), 1);
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint pruned, KeepLayers(gemma, 3));
  // Layers 0, 2 and 3.
  EXPECT_EQ(pruned.config.windowed_layers,
            (std::vector<bool>{true, false, true}));
}

TEST(KeepLayers, KeepsBlocksAsTheyAre) {
  testing::TempFolder folder;
  const auto path = folder.path() / "model.gguf";
  ASSERT_THAT(SaveGguf(NumberedLayers(5), "q8_0", path), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint whole, LoadCheckpoint(path));
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint in_blocks,
                              LoadCheckpoint(path, GgufMatrices::kKeepBlocks));
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint expected, KeepLayers(whole, 3));
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint pruned,
                              KeepLayers(in_blocks, 3));
  EXPECT_EQ(Digest(pruned), Digest(expected));
  EXPECT_EQ(LayersOf(pruned), (std::vector<int64_t>{0, 2, 4}));
  const std::string kept = "model.layers.1.self_attn.q_proj.weight";
  const std::string original = "model.layers.2.self_attn.q_proj.weight";
  ASSERT_TRUE(in_blocks.blocks.contains(original));
  EXPECT_EQ(pruned.blocks.at(kept), in_blocks.blocks.at(original));
}

}  // namespace
}  // namespace tandem
