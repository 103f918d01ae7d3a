#include "model/decode_step.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "model/aten.h"
#include "model/decoder.h"
#include "model/frozen_product.h"
#include "model/lora_trainer.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using testing::MaxDifference;

// Wide enough for blocks of 32 weights; heads of 10 do not fill a register.
DecoderConfig WideConfig(bool tied) {
  DecoderConfig config = testing::TinyDecoderConfig();
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.attention_heads = 6;
  config.key_value_heads = 2;
  config.head_size = 16;
  config.vocabulary_size = 263;
  config.tied_embeddings = tied;
  return config;
}

Adapter AdapterWithB(const DecoderConfig& config) {
  Adapter adapter = CreateAdapter(config, {3, 5, {}}, 7).value();
  SeededRandom random(8);
  for (auto& [name, tensor] : adapter.tensors)
    if (!IsLoraA(name))
      tensor = testing::RandomTensor(random, tensor.sizes(), 0.2);
  return adapter;
}

at::Tensor RandomTokens(int64_t count, uint64_t seed) {
  SeededRandom random(seed);
  at::Tensor tokens = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int64_t>(random.Below(261));
  return tokens;
}

// The logits of steps less those of the whole text, [steps * sequences,
// vocabulary], for sequences of different lengths that take their steps
// together.
at::Tensor StepDifferences(const Decoder& model, const Adapter* adapter) {
  const std::vector<int64_t> prompts = {1, 9, 4};
  std::vector<at::Tensor> texts, expected;
  std::vector<KeyValueCache> caches;
  std::vector<KeyValueCache*> pointers;
  caches.reserve(prompts.size());
  for (size_t s = 0; s < prompts.size(); ++s) {
    const int64_t length = prompts[s] + 12;
    texts.push_back(RandomTokens(length, s + 1));
    expected.push_back(
        model.Logits(model.Forward(texts[s], {0, length}, adapter)));
    caches.emplace_back(model.config());
    model.ForwardCached(texts[s].narrow(0, 0, prompts[s]), caches[s], adapter);
    pointers.push_back(&caches[s]);
  }
  DecodeStep step = model.NewDecodeStep(adapter);
  std::vector<at::Tensor> differences;
  for (int64_t t = 0; t < 12; ++t) {
    std::vector<int32_t> tokens;
    for (size_t s = 0; s < prompts.size(); ++s)
      tokens.push_back(texts[s][prompts[s] + t].item<int32_t>());
    const at::Tensor logits = step.Run(tokens, pointers);
    for (size_t s = 0; s < prompts.size(); ++s) {
      EXPECT_EQ(caches[s].length(), prompts[s] + t + 1);
      differences.push_back(logits[s] - expected[s][prompts[s] + t]);
    }
  }
  return at::stack(differences);
}

double WorstStep(const Decoder& model, const Adapter* adapter) {
  return StepDifferences(model, adapter).abs().max().item<double>();
}

TEST(DecodeStep, IsTheFullForwardForEachOfSeveralSequences) {
  for (const bool tied : {true, false}) {
    const Checkpoint checkpoint =
        testing::RandomCheckpoint(WideConfig(tied), 3);
    const Adapter adapter = AdapterWithB(checkpoint.config);
    const Decoder fp32 = Decoder::Create(checkpoint, at::kFloat).value();
    EXPECT_LT(WorstStep(fp32, nullptr), 1e-4);
    EXPECT_LT(WorstStep(fp32, &adapter), 1e-4);
  }
}

TEST(DecodeStep, IsTheFullForwardOfEveryArchitecture) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma3"}) {
    const Checkpoint checkpoint =
        testing::RandomCheckpoint(testing::TinyDecoderConfig(name), 3);
    const Decoder model = Decoder::Create(checkpoint, at::kFloat).value();
    EXPECT_LT(WorstStep(model, nullptr), 1e-4) << name;
  }
}

TEST(DecodeStep, MultipliesBf16WeightsExactly) {
  Checkpoint rounded = testing::RandomCheckpoint(WideConfig(true), 3);
  for (auto& [name, tensor] : rounded.tensors)
    tensor = tensor.to(at::kBFloat16).to(at::kFloat);
  const Decoder bf16 = Decoder::Create(rounded, at::kBFloat16).value();
  const Decoder fp32 = Decoder::Create(rounded, at::kFloat).value();
  KeyValueCache a(bf16.config()), b(fp32.config());
  DecodeStep step = bf16.NewDecodeStep(nullptr);
  DecodeStep reference = fp32.NewDecodeStep(nullptr);
  for (const int32_t token : {5, 17, 200}) {
    const at::Tensor x = step.Run({token}, {&a});
    const at::Tensor y = reference.Run({token}, {&b});
    EXPECT_LT(MaxDifference(x, y), 1e-4);
  }
}

TEST(DecodeStep, RefusesMoreThanTheContext) {
  Checkpoint checkpoint = testing::TinyCheckpoint();
  checkpoint.config.context_length = 2;
  const Decoder model = Decoder::Create(checkpoint, at::kFloat).value();
  DecodeStep step = model.NewDecodeStep(nullptr);
  KeyValueCache cache(model.config());
  step.Run({1}, {&cache});
  step.Run({2}, {&cache});
  EXPECT_THROW(step.Run({3}, {&cache}), std::invalid_argument);
  EXPECT_EQ(cache.length(), 2);
  KeyValueCache other(model.config());
  EXPECT_ANY_THROW(step.Run({261}, {&other}));
}

// A quantised file, loaded with its blocks as they are and dequantised.
struct Quantised {
  testing::TempFolder folder;
  Checkpoint blocks, values;

  explicit Quantised(const std::string& type) {
    Checkpoint whole = testing::RandomCheckpoint(WideConfig(true), 3);
    whole.config.vocabulary_size = testing::kTinyVocabulary;
    whole.tensors["model.embed_tokens.weight"] =
        whole.tensors["model.embed_tokens.weight"]
            .narrow(0, 0, testing::kTinyVocabulary)
            .contiguous();
    whole.tokenizer = testing::TinyTokenizerData();
    const std::filesystem::path path = folder.path() / "model.gguf";
    EXPECT_TRUE(SaveGguf(whole, type, path).ok());
    blocks = LoadCheckpoint(path, GgufMatrices::kKeepBlocks).value();
    values = LoadCheckpoint(path).value();
  }
};

TEST(QuantisedBase, IsTheSameModel) {
  for (const char* type : {"q8_0", "q4_0", "f16"}) {
    const Quantised q(type);
    EXPECT_EQ(q.blocks.blocks.size(), 15);
    EXPECT_EQ(q.blocks.tensors.size() + 15, q.values.tensors.size());
    EXPECT_EQ(Digest(q.blocks), Digest(q.values));
    const Decoder kept =
        Decoder::Create(q.blocks, {at::kFloat, /*keep=*/true}).value();
    const Decoder converted = Decoder::Create(q.blocks, at::kFloat).value();
    const Decoder values = Decoder::Create(q.values, at::kFloat).value();
    EXPECT_NE(kept.head_weight().blocks(), nullptr);
    EXPECT_EQ(converted.head_weight().blocks(), nullptr);
    const at::Tensor tokens = RandomTokens(20, 1);
    const at::Tensor expected =
        values.Logits(values.Forward(tokens, {0, 20}, nullptr));
    EXPECT_TRUE(
        at::equal(converted.Logits(converted.Forward(tokens, {0, 20}, nullptr)),
                  expected));
    if (MultipliesBfloat16()) continue;  // there, blocks are rounded to bf16
    EXPECT_TRUE(at::equal(kept.Logits(kept.Forward(tokens, {0, 20}, nullptr)),
                          expected));
  }
}

TEST(QuantisedBase, TrainsWithTheSameLosses) {
  const Quantised q("q4_0");
  const at::ScalarType dtype =
      MultipliesBfloat16() ? at::kBFloat16 : at::kFloat;
  const Decoder kept = Decoder::Create(q.blocks, {dtype, true}).value();
  const Decoder values = Decoder::Create(q.values, dtype).value();
  const Adapter adapter = AdapterWithB(q.values.config);
  PackedBatch batch;
  batch.tokens = RandomTokens(30, 1);
  batch.document_offsets = {0, 18, 30};
  batch.target_rows = at::tensor({2, 3, 11, 16, 20, 28}, at::kLong);
  batch.targets = batch.tokens.index_select(0, batch.target_rows + 1);
  const LossTerm term{&batch, CrossEntropyRows(batch.targets), 1};
  LoraTrainer a(kept, adapter, {}), b(values, adapter, {});
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(a.Step({term}).loss, b.Step({term}).loss) << i;
}

// Activations are rounded to 8 bits there, in steps of 1/127 of the largest of
// 32, which for normal values is 2.2 standard deviations: noise of 0.5% for
// each product, and so of 1.5% after the nine that follow each other here.
TEST(QuantisedBase, StepsAreNearTheForwardPass) {
  for (const char* type : {"q8_0", "q4_0"}) {
    const Quantised q(type);
    const Decoder kept = Decoder::Create(q.blocks, {at::kFloat, true}).value();
    const at::Tensor logits =
        kept.Logits(kept.Forward(RandomTokens(9, 1), {0, 9}, nullptr));
    const double noise =
        StepDifferences(kept, nullptr).square().mean().sqrt().item<double>() /
        logits.std().item<double>();
    EXPECT_LT(noise, 0.02) << type;
    EXPECT_GT(noise, 0.001) << type;
  }
}

}  // namespace
}  // namespace tandem
