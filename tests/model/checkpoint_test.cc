#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <set>

#include "common/digest.h"
#include "common/files.h"
#include "model/aten.h"
#include "model/gguf_reader.h"
#include "model/safetensors.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;
using testing::TinyCheckpoint;

void ExpectSameTokenizer(const TokenizerData& a, const TokenizerData& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(a.pre_tokenizer, b.pre_tokenizer);
  EXPECT_EQ(a.bos_id, b.bos_id);
  EXPECT_EQ(a.eos_id, b.eos_id);
  EXPECT_EQ(a.unknown_id, b.unknown_id);
  EXPECT_EQ(a.padding_id, b.padding_id);
  EXPECT_EQ(a.add_bos, b.add_bos);
  EXPECT_EQ(a.chat_template, b.chat_template);
}

void ExpectSameConfig(const DecoderConfig& a, const DecoderConfig& b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.hidden_size, b.hidden_size);
  EXPECT_EQ(a.intermediate_size, b.intermediate_size);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.attention_heads, b.attention_heads);
  EXPECT_EQ(a.key_value_heads, b.key_value_heads);
  EXPECT_EQ(a.head_size, b.head_size);
  EXPECT_EQ(a.vocabulary_size, b.vocabulary_size);
  EXPECT_EQ(a.context_length, b.context_length);
  EXPECT_EQ(a.rms_norm_epsilon, b.rms_norm_epsilon);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_EQ(a.tied_embeddings, b.tied_embeddings);
}

// Largest difference of any weight, relative to its tensor's largest.
double RelativeError(const TensorMap& a, const TensorMap& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (const auto& [name, tensor] : a) {
    const at::Tensor difference = (b.at(name).to(at::kFloat) - tensor).abs();
    worst =
        std::max(worst, (difference.max() / tensor.abs().max()).item<double>());
  }
  return worst;
}

// A checkpoint with an untied head, a chat template, bos before every text and
// heads that are not hidden_size / attention_heads wide.
Checkpoint UnusualCheckpoint() {
  DecoderConfig config = testing::TinyDecoderConfig();
  config.tied_embeddings = false;
  config.head_size = 16;
  config.rms_norm_epsilon = 1e-6;
  config.rope_theta = 100000;
  Checkpoint checkpoint = testing::RandomCheckpoint(config, 3);
  checkpoint.tokenizer = testing::TinyTokenizerData();
  checkpoint.tokenizer.add_bos = true;
  checkpoint.tokenizer.padding_id.reset();
  checkpoint.tokenizer.pre_tokenizer = "gpt-2";
  checkpoint.tokenizer.types[2] = TokenType::kUserDefined;
  checkpoint.tokenizer.chat_template =
      "{% for m in messages %}\n'ä\"{% endfor %}";
  return checkpoint;
}

TEST(HuggingFace, FolderRoundTripKeepsEverything) {
  for (const Checkpoint& saved : {TinyCheckpoint(), UnusualCheckpoint()}) {
    TempFolder folder;
    ASSERT_THAT(SaveHuggingFace(saved, at::kFloat, folder / "a/b"), IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                                LoadCheckpoint(folder / "a/b"));
    ExpectSameConfig(loaded.config, saved.config);
    ExpectSameTokenizer(loaded.tokenizer, saved.tokenizer);
    EXPECT_EQ(RelativeError(saved.tensors, loaded.tensors), 0);
    EXPECT_EQ(Digest(loaded), Digest(saved));
  }
}

TEST(HuggingFace, HalfPrecisionsRoundToNearest) {
  const Checkpoint saved = TinyCheckpoint();
  for (const auto& [dtype, bound] :
       {std::pair(at::kHalf, 0x1p-11), std::pair(at::kBFloat16, 0x1p-8)}) {
    TempFolder folder;
    ASSERT_THAT(SaveHuggingFace(saved, dtype, folder.path()), IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                                LoadCheckpoint(folder.path()));
    for (const auto& [name, tensor] : saved.tensors) {
      EXPECT_TRUE(loaded.tensors.at(name).equal(tensor.to(dtype))) << name;
    }
    EXPECT_LE(RelativeError(saved.tensors, loaded.tensors), bound);
  }
}

TEST(HuggingFace, OtherDtypesAreRefused) {
  TempFolder folder;
  EXPECT_THAT(SaveHuggingFace(TinyCheckpoint(), at::kDouble, folder.path()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("Double")));
}

TEST(HuggingFace, ShardedFolderRoundTripKeepsEverything) {
  TempFolder folder;
  const Checkpoint saved = TinyCheckpoint();
  ASSERT_THAT(SaveHuggingFace(saved, at::kFloat, folder.path(),
                              /*max_shard_bytes=*/20'000),
              IsOk());
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors"));
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                              LoadCheckpoint(folder.path()));
  EXPECT_EQ(Digest(loaded), Digest(saved));
}

TEST(Gguf, Fp32RoundTripKeepsEverything) {
  for (const Checkpoint& saved : {TinyCheckpoint(), UnusualCheckpoint()}) {
    TempFolder folder;
    ASSERT_THAT(SaveGguf(saved, "f32", folder / "m.gguf"), IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                                LoadCheckpoint(folder / "m.gguf"));
    ExpectSameConfig(loaded.config, saved.config);
    ExpectSameTokenizer(loaded.tokenizer, saved.tokenizer);
    EXPECT_EQ(Digest(loaded), Digest(saved));
  }
}

TEST(Gguf, EveryTypeComesBackWithinItsPrecision) {
  const Checkpoint saved = TinyCheckpoint();
  const std::pair<const char*, double> bounds[] = {
      {"f16", 0x1p-11}, {"bf16", 0x1p-8}, {"q8_0", 0.0045},
      {"q6_k", 0.0045}, {"q5_0", 0.0635}, {"q4_0", 0.127}};
  double last = 0;
  for (const auto& [type, bound] : bounds) {
    TempFolder folder;
    ASSERT_THAT(SaveGguf(saved, type, folder / "m.gguf"), IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                                LoadCheckpoint(folder / "m.gguf"));
    const double error = RelativeError(saved.tensors, loaded.tensors);
    EXPECT_LE(error, bound) << type;
    EXPECT_GT(error, 0) << type;
    last = error;
  }
  EXPECT_GT(last, 0.01);  // q4_0 has really been quantised
}

std::string TypeIn(const GgufFile& file, const std::string& tensor) {
  return std::string(file.tensors.at(tensor).format->name);
}

TEST(Gguf, VectorsStayFp32AndTheTableOfQ4_0IsQ8_0) {
  TempFolder folder;
  ASSERT_THAT(SaveGguf(TinyCheckpoint(), "q4_0", folder / "m.gguf"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file, ReadGguf(folder / "m.gguf"));
  EXPECT_EQ(TypeIn(file, "output_norm.weight"), "F32");
  EXPECT_EQ(TypeIn(file, "token_embd.weight"), "Q8_0");
  EXPECT_EQ(TypeIn(file, "blk.0.attn_q.weight"), "Q4_0");
  // Rows of 48 do not divide into blocks of 32.
  EXPECT_EQ(TypeIn(file, "blk.0.ffn_down.weight"), "F16");
  EXPECT_EQ(file.Integer("general.file_type", 0, 100).value(), 2);
}

// Rows of 256, 512 (whole blocks of K-quants) and 288 (blocks of 32).
Checkpoint WideCheckpoint() {
  DecoderConfig config = testing::TinyDecoderConfig();
  config.hidden_size = 256;
  config.intermediate_size = 288;
  config.head_size = 128;
  config.layers = 1;
  Checkpoint checkpoint = testing::RandomCheckpoint(config, 2);
  checkpoint.tokenizer = testing::TinyTokenizerData();
  return checkpoint;
}

TEST(Gguf, KQuantsFallBackWhereRowsAreNotWholeBlocks) {
  struct Expected {
    const char *name, *matrices, *fallback, *table;
    int64_t file_type;
  };
  for (const Expected& expected :
       {Expected{"q4_k", "Q4_K", "Q5_0", "Q6_K", 14},
        Expected{"q6_k", "Q6_K", "Q8_0", "Q6_K", 18},
        Expected{"q5_0", "Q5_0", "Q5_0", "Q6_K", 8}}) {
    TempFolder folder;
    ASSERT_THAT(SaveGguf(WideCheckpoint(), expected.name, folder / "m.gguf"),
                IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file,
                                ReadGguf(folder / "m.gguf"));
    EXPECT_EQ(TypeIn(file, "blk.0.attn_q.weight"), expected.matrices);
    EXPECT_EQ(TypeIn(file, "blk.0.attn_output.weight"), expected.matrices);
    EXPECT_EQ(TypeIn(file, "blk.0.ffn_down.weight"), expected.fallback);
    EXPECT_EQ(TypeIn(file, "token_embd.weight"), expected.table);
    EXPECT_EQ(TypeIn(file, "blk.0.attn_norm.weight"), "F32");
    EXPECT_EQ(file.Integer("general.file_type", 0, 100).value(),
              expected.file_type);
  }
}

// Half a step of 15 over the whole range; Q6_K's positive end, which has only
// 31 steps, a whole one.
TEST(Gguf, KQuantsComeBackWithinTheirPrecision) {
  const Checkpoint saved = WideCheckpoint();
  for (const auto& [type, bound] :
       {std::pair("q6_k", 1.0 / 31), std::pair("q4_k", 0.07)}) {
    TempFolder folder;
    ASSERT_THAT(SaveGguf(saved, type, folder / "m.gguf"), IsOk());
    TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                                LoadCheckpoint(folder / "m.gguf"));
    EXPECT_LE(RelativeError(saved.tensors, loaded.tensors), bound) << type;
  }
}

// The definition in convert_hf_to_gguf.py: reshape(heads, 2, d / 2, in),
// swapaxes(1, 2).
TEST(Gguf, RowsOfQueriesAndKeysAreInterleaved) {
  TempFolder folder;
  const Checkpoint saved = TinyCheckpoint();
  ASSERT_THAT(SaveGguf(saved, "f32", folder / "m.gguf"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file, ReadGguf(folder / "m.gguf"));
  const auto raw = [&](const char* name) {
    const GgufTensor& tensor = file.tensors.at(name);
    return at::from_blob(const_cast<std::byte*>(tensor.data.data()),
                         tensor.shape, at::kFloat);
  };
  const auto permuted = [&](const char* name, int64_t heads) {
    const at::Tensor& weight = saved.tensors.at(name);
    return weight.view({heads, 2, -1, weight.size(1)})
        .transpose(1, 2)
        .reshape(weight.sizes());
  };
  EXPECT_TRUE(
      raw("blk.1.attn_q.weight")
          .equal(permuted("model.layers.1.self_attn.q_proj.weight", 4)));
  EXPECT_TRUE(
      raw("blk.1.attn_k.weight")
          .equal(permuted("model.layers.1.self_attn.k_proj.weight", 2)));
  EXPECT_TRUE(
      raw("blk.1.attn_v.weight")
          .equal(saved.tensors.at("model.layers.1.self_attn.v_proj.weight")));
}

TEST(Gguf, TokensArePaddedToTheEmbeddingTable) {
  Checkpoint saved = TinyCheckpoint();
  saved.config.vocabulary_size += 3;
  saved.tensors["model.embed_tokens.weight"] =
      at::ones({saved.config.vocabulary_size, saved.config.hidden_size});
  TempFolder folder;
  ASSERT_THAT(SaveGguf(saved, "f16", folder / "m.gguf"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint loaded,
                              LoadCheckpoint(folder / "m.gguf"));
  ASSERT_EQ(loaded.tokenizer.tokens.size(), 264u);
  EXPECT_EQ(loaded.tokenizer.tokens.back(), "[PAD263]");
  EXPECT_EQ(loaded.tokenizer.types.back(), TokenType::kUnused);
}

TEST(Gguf, ValuesThatTheTypeCannotHoldAreRefused) {
  Checkpoint saved = TinyCheckpoint();
  at::Tensor weight =
      saved.tensors["model.layers.0.mlp.up_proj.weight"].clone();
  saved.tensors["model.layers.0.mlp.up_proj.weight"] = weight;
  TempFolder folder;
  weight[3][4] = 70000.0f;
  EXPECT_THAT(SaveGguf(saved, "f16", folder / "m.gguf"),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("up_proj"), HasSubstr("70000"))));
  EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
  EXPECT_THAT(SaveGguf(saved, "f32", folder / "m.gguf"), IsOk());
  weight[3][4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(SaveGguf(saved, "q8_0", folder / "m.gguf"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("nan")));
}

TEST(Gguf, UnknownTypeListsTheKnownOnes) {
  TempFolder folder;
  EXPECT_THAT(
      SaveGguf(TinyCheckpoint(), "q4_k_m", folder / "m.gguf"),
      StatusIs(StatusCode::kInvalidArgument,
               AllOf(HasSubstr("q4_k_m"), HasSubstr("f32, f16, bf16"))));
}

TEST(Checkpoint, SavingRefusesMissingMisshapenAndForeignTensors) {
  TempFolder folder;
  Checkpoint missing = TinyCheckpoint();
  missing.tensors.erase("model.norm.weight");
  EXPECT_THAT(SaveHuggingFace(missing, at::kFloat, folder.path()),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("'model.norm.weight' is missing")));
  Checkpoint misshapen = TinyCheckpoint();
  misshapen.tensors["model.norm.weight"] = at::ones({31});
  EXPECT_THAT(SaveGguf(misshapen, "f32", folder / "m.gguf"),
              StatusIs(StatusCode::kInvalidArgument,
                       HasSubstr("has the shape [31], expected [32]")));
  Checkpoint foreign = TinyCheckpoint();
  foreign.tensors["model.layers.0.self_attn.q_proj.bias"] = at::ones({32});
  EXPECT_THAT(SaveGguf(foreign, "f32", folder / "m.gguf"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no place")));
}

TEST(Checkpoint, MissingAndForeignPathsAreNamed) {
  TempFolder folder;
  EXPECT_THAT(LoadCheckpoint(folder / "none"),
              StatusIs(StatusCode::kNotFound, HasSubstr("none")));
  ASSERT_THAT(WriteFileAtomically(folder / "m.bin", "x"), IsOk());
  EXPECT_THAT(LoadCheckpoint(folder / "m.bin"),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("m.bin")));
  EXPECT_THAT(LoadCheckpoint(folder.path()),
              StatusIs(StatusCode::kNotFound, HasSubstr("config.json")));
}

TEST(Digest, IsThatOfItsDefinition) {
  Checkpoint checkpoint;
  checkpoint.tensors["b"] = at::tensor({1.0f, 2.0f}).view({2, 1});
  checkpoint.tensors["a"] = at::tensor({3.0f});
  const float b[] = {1, 2}, a[] = {3};
  const auto sha = [](const float* values, size_t size) {
    return Sha256Hex({reinterpret_cast<const char*>(values), 4 * size});
  };
  const std::string shape =
      "llama heads 0/0x0 context 0 epsilon 1e-05 theta 10000 tied true\n";
  EXPECT_EQ(Digest(checkpoint),
            Sha256Hex(shape + " merges \n1:a [1] " + sha(a, 1) +
                      "\n1:b [2,1] " + sha(b, 2) + "\n"));
}

TEST(Digest, DoesNotDependOnDtypeOrStrides) {
  Checkpoint a, b;
  a.tensors["w"] =
      at::arange(600'000, at::kFloat).remainder(256).view({600, 1000});
  b.tensors["w"] = a.tensors["w"].t().to(at::kBFloat16).contiguous().t();
  EXPECT_EQ(Digest(a), Digest(b));
}

TEST(Digest, ChangesWithWhatTheWeightsAreComputedWith) {
  const Checkpoint base = TinyCheckpoint();
  std::set<std::string> digests = {Digest(base)};
  const auto add = [&](auto change) {
    Checkpoint other = base;
    change(other);
    digests.insert(Digest(other));
  };
  add([](Checkpoint& c) { c.config.rope_theta = 20000; });
  add([](Checkpoint& c) { c.config.rms_norm_epsilon = 1e-3; });
  add([](Checkpoint& c) { c.config.key_value_heads = 4; });
  add([](Checkpoint& c) { c.tokenizer.pre_tokenizer = "gpt-2"; });
  add([](Checkpoint& c) { c.tokenizer.merges.pop_back(); });
  add([](Checkpoint& c) {
    c.config.rope_scaling.type = RopeScaling::Type::kLinear;
    c.config.rope_scaling.factor = 2;
  });
  add([](Checkpoint& c) { c.config.query_scalar = 100; });
  add([](Checkpoint& c) { c.config.windowed_layers = {true, false}; });
  EXPECT_EQ(digests.size(), 9u);
}

TEST(Digest, ChangesWithValueNameAndShape) {
  const Checkpoint base = TinyCheckpoint();
  Checkpoint value = base, name = base, shape = base;
  at::Tensor& norm = value.tensors["model.norm.weight"];
  norm = norm.clone();
  norm[5] = std::nextafter(norm[5].item<float>(), 10.0f);
  name.tensors["model.norm2.weight"] = base.tensors.at("model.norm.weight");
  name.tensors.erase("model.norm.weight");
  shape.tensors["model.norm.weight"] =
      base.tensors.at("model.norm.weight").view({4, 8});
  EXPECT_EQ((std::set<std::string>{Digest(base), Digest(value), Digest(name),
                                   Digest(shape)}
                 .size()),
            4u);
}

TEST(CheckpointRealModel, GgufAndTheFolderSavedFromItHaveOneDigest) {
  TempFolder folder;
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const Checkpoint model,
      LoadCheckpoint("data/models/SmolLM2-135M-Instruct.Q4_1.gguf"));
  EXPECT_EQ(model.config.layers, 30);
  EXPECT_EQ(model.config.rms_norm_epsilon, 1e-5);
  EXPECT_EQ(model.config.rope_theta, 100000);
  EXPECT_EQ(model.tensors.size(), 272u);
  ASSERT_THAT(SaveHuggingFace(model, at::kFloat, folder.path()), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const Checkpoint folder_model,
                              LoadCheckpoint(folder.path()));
  EXPECT_EQ(Digest(folder_model), Digest(model));
  ExpectSameTokenizer(folder_model.tokenizer, model.tokenizer);
  ExpectSameConfig(folder_model.config, model.config);
}

}  // namespace
}  // namespace tandem
