// The shape of a decoder-only transformer, whichever file it came from.
#ifndef TANDEM_MODEL_DECODER_CONFIG_H_
#define TANDEM_MODEL_DECODER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"

namespace tandem {

// How the frequencies of a rotary embedding are slowed down for contexts longer
// than those of pretraining (see RotaryDivisors).
struct RopeScaling {
  enum class Type { kNone, kLinear, kLlama3 };
  Type type = Type::kNone;
  double factor = 1;
  // Of kLlama3 alone: a wave longer than original_context_length /
  // low_frequency_factor tokens is slowed down in full, one shorter than
  // original_context_length / high_frequency_factor not at all.
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  int64_t original_context_length = 8192;
};

struct DecoderConfig {
  std::string architecture = "llama";  // Architecture::name, which is GGUF's
  int64_t hidden_size = 0;             // d
  int64_t intermediate_size = 0;       // rows of gate_proj and up_proj
  int64_t layers = 0;
  int64_t attention_heads = 0;
  int64_t key_value_heads = 0;
  int64_t head_size = 0;
  int64_t vocabulary_size = 0;
  int64_t context_length = 0;  // tokens
  double rms_norm_epsilon = 1e-5;
  double rope_theta = 10000;
  bool tied_embeddings = true;  // lm_head is embed_tokens
  RopeScaling rope_scaling = {};
  // q, k, v and o have biases, where the architecture leaves that open.
  bool attention_bias = false;
  // Scores are q k^T / sqrt(this); 0: head_size.
  double query_scalar = 0;
  // In a windowed layer a token sees this many, itself included, and positions
  // turn with local_rope_theta, unscaled.
  int64_t sliding_window = 0;
  std::vector<bool> windowed_layers = {};  // by layer; empty: none
  double local_rope_theta = 10000;

  bool IsWindowed(int64_t layer) const {
    return !windowed_layers.empty() && windowed_layers[layer];
  }
  double ScoreScale() const;  // 1 / sqrt(query_scalar)
};

inline constexpr int64_t kMostLayers = 4096;

// A known architecture, every size within sane bounds (so that products of two
// cannot overflow), heads in whole groups, an even head size, positive epsilon
// and thetas, a window where layers have one. InvalidArgument names the field,
// its value and what was expected.
Status CheckDecoderConfig(const DecoderConfig& config);

}  // namespace tandem

#endif  // TANDEM_MODEL_DECODER_CONFIG_H_
