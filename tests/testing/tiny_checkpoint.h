// A random decoder small enough for unit tests: llama architecture, 2 layers,
// d = 32, 4 heads over 2 key-value heads, tied embeddings, and a byte-level
// tokenizer that reads any text.
#ifndef TANDEM_TESTS_TESTING_TINY_CHECKPOINT_H_
#define TANDEM_TESTS_TESTING_TINY_CHECKPOINT_H_

#include <cmath>
#include <string>
#include <vector>

#include "common/random.h"
#include "model/aten.h"
#include "model/checkpoint.h"
#include "model/weight_layout.h"

namespace tandem::testing {

// The UTF-8 text of a code point below 0x800.
inline std::string Utf8(uint32_t code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

// GPT-2's printable stand-in for a byte: itself where it prints, else the next
// free code point from 256.
inline std::string PrintableByte(int byte) {
  auto prints = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  if (prints(byte)) return Utf8(byte);
  int hidden_before = 0;
  for (int b = 0; b < byte; ++b) hidden_before += !prints(b);
  return Utf8(256 + hidden_before);
}

inline constexpr int64_t kTinyVocabulary = 261;

// <|endoftext|>, <|im_start|>, <|im_end|>, 256 bytes, and the merges "t h",
// "th e": kTinyVocabulary tokens.
inline TokenizerData TinyTokenizerData() {
  TokenizerData data;
  data.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  data.types.assign(3, TokenType::kControl);
  for (int byte = 0; byte < 256; ++byte)
    data.tokens.push_back(PrintableByte(byte));
  data.tokens.push_back("th");
  data.tokens.push_back("the");
  data.types.resize(data.tokens.size(), TokenType::kNormal);
  data.merges = {"t h", "th e"};
  data.pre_tokenizer = "smollm";
  data.bos_id = 1;
  data.eos_id = 2;
  data.unknown_id = 0;
  data.padding_id = 2;
  return data;
}

inline DecoderConfig TinyDecoderConfig() {
  DecoderConfig config;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.layers = 2;
  config.attention_heads = 4;
  config.key_value_heads = 2;
  config.head_size = 8;
  config.vocabulary_size = 261;
  config.context_length = 512;
  config.rope_theta = 10000;
  return config;
}

// The same sizes in another architecture, with all that sets it apart: llama
// with biases and llama3 scaling, gemma3 with windows shorter than its context.
inline DecoderConfig TinyDecoderConfig(const std::string& architecture) {
  DecoderConfig config = TinyDecoderConfig();
  config.architecture = architecture;
  if (architecture == "llama") {
    config.attention_bias = true;
    config.head_size = 16;
    config.rope_scaling = {.type = RopeScaling::Type::kLlama3,
                           .factor = 8,
                           .original_context_length = 64};
  }
  if (architecture == "gemma3") {
    config.layers = 4;
    config.sliding_window = 5;
    config.windowed_layers = {true, true, false, true};
    config.rope_theta = 1000000;
    config.rope_scaling = {.type = RopeScaling::Type::kLinear, .factor = 2};
  }
  return config;
}

// Normal with this mean and standard deviation, fp32, the same on every
// machine.
inline at::Tensor RandomTensor(SeededRandom& random, at::IntArrayRef shape,
                               double stddev, double mean = 0) {
  at::Tensor values = at::empty(shape, at::kFloat);
  float* out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i)
    out[i] = static_cast<float>(mean + stddev * random.Normal());
  return values;
}

// A random checkpoint of any shape; equal seeds give equal weights.
inline Checkpoint RandomCheckpoint(const DecoderConfig& config, uint64_t seed) {
  SeededRandom random(seed);
  const int64_t d = config.hidden_size, ff = config.intermediate_size;
  const int64_t q = config.attention_heads * config.head_size;
  const int64_t kv = config.key_value_heads * config.head_size;
  Checkpoint checkpoint{config, {}, {}};
  TensorMap& tensors = checkpoint.tensors;
  auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    tensors[name] =
        RandomTensor(random, {out, in}, 1 / std::sqrt(static_cast<double>(in)));
  };
  auto norm = [&](const std::string& name) {
    tensors[name] = RandomTensor(random, {d}, 0.1, 1);
  };
  tensors["model.embed_tokens.weight"] =
      RandomTensor(random, {config.vocabulary_size, d}, 0.3);
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    linear(layer + "self_attn.q_proj.weight", q, d);
    linear(layer + "self_attn.k_proj.weight", kv, d);
    linear(layer + "self_attn.v_proj.weight", kv, d);
    linear(layer + "self_attn.o_proj.weight", d, q);
    linear(layer + "mlp.gate_proj.weight", ff, d);
    linear(layer + "mlp.up_proj.weight", ff, d);
    linear(layer + "mlp.down_proj.weight", d, ff);
    norm(layer + "input_layernorm.weight");
    norm(layer + "post_attention_layernorm.weight");
  }
  norm("model.norm.weight");
  if (!config.tied_embeddings)
    linear("lm_head.weight", config.vocabulary_size, d);
  // What the architecture has beyond a plain llama: norms and biases.
  for (const WeightLayout& weight : WeightsOf(config))
    if (!tensors.contains(weight.name))
      tensors[weight.name] = RandomTensor(random, weight.shape, 0.2);
  return checkpoint;
}

inline Checkpoint TinyCheckpoint(uint64_t seed = 1) {
  Checkpoint checkpoint = RandomCheckpoint(TinyDecoderConfig(), seed);
  checkpoint.tokenizer = TinyTokenizerData();
  return checkpoint;
}

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_TINY_CHECKPOINT_H_
