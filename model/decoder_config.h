// The shape of a decoder-only transformer, whichever file it came from.
#ifndef TANDEM_MODEL_DECODER_CONFIG_H_
#define TANDEM_MODEL_DECODER_CONFIG_H_

#include <cstdint>
#include <string>

namespace tandem {

struct DecoderConfig {
  std::string architecture = "llama";  // GGUF's name for it
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
};

}  // namespace tandem

#endif  // TANDEM_MODEL_DECODER_CONFIG_H_
