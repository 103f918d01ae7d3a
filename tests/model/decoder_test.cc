#include "model/decoder.h"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "model/adapter_gradients.h"
#include "model/aten.h"
#include "model/generator.h"
#include "tests/testing/gradient_check.h"
#include "tests/testing/plain_decoder.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::MaxDifference;
using testing::PlainDecoder;
using testing::StatusIs;
using testing::TinyCheckpoint;

at::Tensor Tokens(int64_t count, uint64_t seed) {
  SeededRandom random(seed);
  at::Tensor tokens = at::empty({count}, at::kLong);
  for (int64_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int64_t>(random.Below(261));
  return tokens;
}

Decoder Tiny(const Checkpoint& checkpoint, at::ScalarType dtype = at::kFloat) {
  return Decoder::Create(checkpoint, dtype).value();
}

// Rank 3, alpha 5, B not zero.
Adapter TinyAdapter(const DecoderConfig& config,
                    const std::vector<std::string>& modules = {}) {
  Adapter adapter = CreateAdapter(config, {3, 5, modules}, 7).value();
  SeededRandom random(8);
  for (auto& [name, tensor] : adapter.tensors)
    if (!IsLoraA(name))
      tensor = testing::RandomTensor(random, tensor.sizes(), 0.2);
  return adapter;
}

TEST(Decoder, IsThePlainCompositionWithAndWithoutAdapter) {
  DecoderConfig config = testing::TinyDecoderConfig();
  for (const bool tied : {true, false}) {
    config.tied_embeddings = tied;
    const Checkpoint checkpoint = testing::RandomCheckpoint(config, 3);
    const Decoder model = Tiny(checkpoint);
    const Adapter adapter = TinyAdapter(config);
    const at::Tensor tokens = Tokens(40, 1);
    for (const Adapter* with : {(const Adapter*)nullptr, &adapter}) {
      const at::Tensor logits =
          model.Logits(model.Forward(tokens, {0, 40}, with));
      EXPECT_EQ(logits.scalar_type(), at::kFloat);
      EXPECT_LT(
          MaxDifference(logits, PlainDecoder(checkpoint, with).Logits(tokens)),
          5e-5);
    }
  }
}

TEST(Decoder, AdapterMayTargetSomeModules) {
  const Checkpoint checkpoint = TinyCheckpoint();
  const Adapter adapter =
      TinyAdapter(checkpoint.config, {"v_proj", "down_proj"});
  const at::Tensor tokens = Tokens(12, 1);
  EXPECT_LT(MaxDifference(Tiny(checkpoint).Forward(tokens, {0, 12}, &adapter),
                          PlainDecoder(checkpoint, &adapter).Hidden(tokens)),
            5e-5);
}

TEST(Decoder, DocumentsDoNotSeeEachOther) {
  const Checkpoint checkpoint = TinyCheckpoint();
  const Decoder model = Tiny(checkpoint);
  const at::Tensor a = Tokens(7, 1), b = Tokens(11, 2), c = Tokens(3, 3);
  const at::Tensor packed =
      model.Forward(at::cat({a, b, c}), {0, 7, 18, 21}, nullptr);
  EXPECT_LT(MaxDifference(packed.narrow(0, 7, 11),
                          model.Forward(b, {0, 11}, nullptr)),
            1e-5);
  const at::Tensor other =
      model.Forward(at::cat({Tokens(7, 9), b, c}), {0, 7, 18, 21}, nullptr);
  EXPECT_EQ(MaxDifference(packed.narrow(0, 7, 14), other.narrow(0, 7, 14)), 0);
}

TEST(Decoder, ForwardRowsIsForwardOfThoseRows) {
  const Checkpoint checkpoint = TinyCheckpoint();
  const Decoder model = Tiny(checkpoint);
  const at::Tensor tokens = Tokens(20, 1);
  const at::Tensor rows = at::tensor({3, 4, 12, 19}, at::kLong);
  const at::Tensor all = model.Forward(tokens, {0, 8, 20}, nullptr);
  EXPECT_LT(MaxDifference(model.ForwardRows(tokens, {0, 8, 20}, rows, nullptr),
                          all.index_select(0, rows)),
            1e-5);
}

TEST(Decoder, Bf16StaysNearFp32) {
  const Checkpoint checkpoint = TinyCheckpoint();
  const at::Tensor tokens = Tokens(30, 1);
  const Adapter adapter = TinyAdapter(checkpoint.config);
  const at::Tensor exact = PlainDecoder(checkpoint, &adapter).Hidden(tokens);
  const at::Tensor rounded =
      Tiny(checkpoint, at::kBFloat16).Forward(tokens, {0, 30}, &adapter);
  EXPECT_EQ(rounded.scalar_type(), at::kFloat);
  EXPECT_LT(MaxDifference(rounded, exact), 0.2);
  EXPECT_GT(MaxDifference(rounded, exact), 1e-4);
}

TEST(Decoder, SharesWeightsOfItsDtype) {
  const Checkpoint checkpoint = TinyCheckpoint();
  EXPECT_EQ(Tiny(checkpoint).head_weight().tensor().data_ptr(),
            checkpoint.tensors.at("model.embed_tokens.weight").data_ptr());
}

TEST(Decoder, AdapterGradientsAreThoseOfThePlainComposition) {
  const Checkpoint checkpoint = TinyCheckpoint();
  const Decoder model = Tiny(checkpoint);
  const Adapter adapter = TinyAdapter(checkpoint.config);
  const at::Tensor tokens = Tokens(25, 1), other = Tokens(9, 2);
  PackedBatch batch;
  batch.tokens = at::cat({tokens, other});
  batch.document_offsets = {0, 25, 34};
  batch.target_rows = at::tensor({2, 3, 11, 23, 26, 30}, at::kLong);
  batch.targets = batch.tokens.index_select(0, batch.target_rows + 1);
  const AdapterGradient gradient = ComputeAdapterGradient(
      model, adapter, {{&batch, CrossEntropyRows(batch.targets), 2.0}});

  Adapter tracked{adapter.options, {}};
  std::vector<at::Tensor> leaves;
  for (const auto& [name, tensor] : adapter.tensors) {
    leaves.push_back(tensor.to(at::kDouble).requires_grad_());
    tracked.tensors[name] = leaves.back();
  }
  const PlainDecoder plain(checkpoint, &tracked);
  const at::Tensor logits =
      at::cat({plain.Logits(tokens), plain.Logits(other)});
  const at::Tensor loss =
      2 *
      at::nll_loss(logits.index_select(0, batch.target_rows).log_softmax(-1),
                   batch.targets);
  EXPECT_NEAR(gradient.loss, loss.item<double>(), 1e-5);
  const auto expected = torch::autograd::grad({loss}, leaves);
  size_t i = 0;
  for (const auto& [name, tensor] : gradient.tensors) {
    SCOPED_TRACE(name);
    const double relative =
        (tensor.to(at::kDouble) - expected[i]).norm().item<double>() /
        expected[i].norm().item<double>();
    EXPECT_LT(relative, 1e-5);
    ++i;
  }
  EXPECT_EQ(i, adapter.tensors.size());
}

TEST(Decoder, CachedForwardIsForward) {
  const Checkpoint checkpoint = TinyCheckpoint();
  const Decoder model = Tiny(checkpoint);
  const Adapter adapter = TinyAdapter(checkpoint.config);
  const at::Tensor tokens = Tokens(40, 1);
  const at::Tensor all = model.Forward(tokens, {0, 40}, &adapter);
  KeyValueCache cache(model.config());
  std::vector<at::Tensor> parts;
  int64_t from = 0;
  for (const int64_t n : {13, 1, 1, 9, 1, 15}) {  // prompt, tokens, chunks
    parts.push_back(
        model.ForwardCached(tokens.narrow(0, from, n), cache, &adapter));
    from += n;
    EXPECT_EQ(cache.length(), from);
  }
  EXPECT_LT(MaxDifference(at::cat(parts), all), 2e-5);
  KeyValueCache other(model.config());
  const at::Tensor last = at::tensor({12}, at::kLong);
  EXPECT_LT(MaxDifference(model.ForwardCached(tokens.narrow(0, 0, 13), other,
                                              &adapter, last),
                          all.narrow(0, 12, 1)),
            2e-5);
}

TEST(Decoder, RefusesMoreThanItsContext) {
  Checkpoint checkpoint = TinyCheckpoint();
  checkpoint.config.context_length = 8;
  const Decoder model = Tiny(checkpoint);
  EXPECT_THROW(model.Forward(Tokens(9, 1), {0, 9}, nullptr),
               std::invalid_argument);
  EXPECT_NO_THROW(model.Forward(Tokens(9, 1), {0, 1, 9}, nullptr));
  KeyValueCache cache(model.config());
  model.ForwardCached(Tokens(8, 1), cache, nullptr);
  try {
    model.ForwardCached(Tokens(1, 1), cache, nullptr);
    FAIL() << "took 9 tokens into a context of 8";
  } catch (const std::invalid_argument& e) {
    EXPECT_THAT(e.what(),
                HasSubstr("1 tokens after 8 pass the context length of 8"));
  }
  EXPECT_EQ(cache.length(), 8);
}

TEST(Decoder, RefusesOffsetsThatDoNotFit) {
  const Decoder model = Tiny(TinyCheckpoint());
  for (const std::vector<int64_t>& offsets :
       {std::vector<int64_t>{}, {0, 4}, {1, 5}, {0, 6, 5}})
    EXPECT_THROW(model.Forward(Tokens(5, 1), offsets, nullptr),
                 std::invalid_argument);
}

TEST(Decoder, RefusesATokenOutsideTheVocabulary) {
  const Decoder model = Tiny(TinyCheckpoint());
  EXPECT_ANY_THROW(
      model.Forward(at::full({1}, 261, at::kLong), {0, 1}, nullptr));
}

TEST(DecoderCreate, NamesWhatIsWrong) {
  const auto error = [](auto change) {
    Checkpoint checkpoint = TinyCheckpoint();
    change(checkpoint);
    return Decoder::Create(checkpoint, at::kFloat).status();
  };
  const auto invalid = StatusCode::kInvalidArgument;
  EXPECT_THAT(error([](auto& c) {
                c.tensors.erase("model.layers.1.mlp.up_proj.weight");
              }),
              StatusIs(invalid,
                       "tensor 'model.layers.1.mlp.up_proj.weight' is "
                       "missing"));
  EXPECT_THAT(
      error([](auto& c) { c.tensors["model.norm.weight"] = at::ones({31}); }),
      StatusIs(invalid,
               "tensor 'model.norm.weight' has shape [31], expected [32]"));
  EXPECT_THAT(
      error([](auto& c) { c.config.architecture = "mamba"; }),
      StatusIs(invalid, HasSubstr("'mamba' is not supported, expected "
                                  "one of llama, qwen2, qwen3, gemma3")));
  EXPECT_THAT(error([](auto& c) { c.config.key_value_heads = 3; }),
              StatusIs(invalid, HasSubstr("attention_heads is 4, expected a "
                                          "multiple of key_value_heads, 3")));
  EXPECT_THAT(error([](auto& c) { c.config.tied_embeddings = false; }),
              StatusIs(invalid, HasSubstr("lm_head.weight")));
  EXPECT_THAT(error([](auto& c) { c.config.layers = 0; }),
              StatusIs(invalid, HasSubstr("layers is 0")));
}

class DecoderOf : public ::testing::TestWithParam<const char*> {};

TEST_P(DecoderOf, CachedForwardIsForward) {
  const DecoderConfig config = testing::TinyDecoderConfig(GetParam());
  const Decoder model = Tiny(testing::RandomCheckpoint(config, 3));
  const at::Tensor tokens = Tokens(40, 1);
  const at::Tensor all = model.Forward(tokens, {0, 40}, nullptr);
  KeyValueCache cache(config);
  std::vector<at::Tensor> parts;
  int64_t from = 0;
  for (const int64_t n : {13, 1, 1, 9, 1, 15}) {
    parts.push_back(
        model.ForwardCached(tokens.narrow(0, from, n), cache, nullptr));
    from += n;
  }
  EXPECT_LT(MaxDifference(at::cat(parts), all), 5e-5);
}

TEST_P(DecoderOf, DocumentsDoNotSeeEachOther) {
  const DecoderConfig config = testing::TinyDecoderConfig(GetParam());
  const Decoder model = Tiny(testing::RandomCheckpoint(config, 3));
  const at::Tensor a = Tokens(9, 1), b = Tokens(11, 2);
  const at::Tensor rows = at::tensor({10, 19}, at::kLong);
  EXPECT_LT(MaxDifference(
                model.ForwardRows(at::cat({a, b}), {0, 9, 20}, rows, nullptr),
                model.Forward(b, {0, 11}, nullptr).index_select(0, rows - 9)),
            5e-5);
}

INSTANTIATE_TEST_SUITE_P(Architectures, DecoderOf,
                         ::testing::Values("llama", "qwen2", "qwen3",
                                           "gemma3"));

// Every trait moves the result: none is read and then forgotten.
TEST(Decoder, ComputesWithEveryTraitOfGemma) {
  const DecoderConfig base = testing::TinyDecoderConfig("gemma3");
  const auto hidden = [](const DecoderConfig& config) {
    return Tiny(testing::RandomCheckpoint(config, 3))
        .Forward(Tokens(12, 1), {0, 12}, nullptr);
  };
  const at::Tensor expected = hidden(base);
  const std::vector<std::function<void(DecoderConfig&)>> changes = {
      [](auto& c) { c.sliding_window = 4; },
      [](auto& c) { c.windowed_layers = {true, true, false, false}; },
      [](auto& c) { c.local_rope_theta = 500; },
      [](auto& c) { c.rope_theta = 500; },
      [](auto& c) { c.rope_scaling.factor = 3; },
      [](auto& c) { c.query_scalar = 20; }};
  for (size_t i = 0; i < changes.size(); ++i) {
    DecoderConfig changed = base;
    changes[i](changed);
    EXPECT_GT(MaxDifference(hidden(changed), expected), 1e-3) << i;
  }
}

TEST(ParseComputeDtype, KnowsFourNames) {
  EXPECT_EQ(ParseComputeDtype("fp32").value().Name(), "Float");
  EXPECT_EQ(ParseComputeDtype("bf16").value().Name(), "BFloat16");
  EXPECT_EQ(ParseComputeDtype("quantised").value().Name(), "blocks");
  EXPECT_FALSE(ParseComputeDtype("auto").value().keeps_blocks);
  EXPECT_THAT(ParseComputeDtype("f16"),
              StatusIs(StatusCode::kInvalidArgument,
                       "dtype 'f16' is unknown; known: fp32, bf16, auto, "
                       "quantised"));
}

}  // namespace
}  // namespace tandem
