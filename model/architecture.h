// What sets one decoder architecture apart from the next: names in files,
// norms, biases, activation. The decoder and the readers and writers of files
// ask these traits and know no architecture by name.
//
// To add one: a file architecture_NAME.cc with its description, a line in the
// table of architecture.cc, a case in tests/interop/test_architectures.py.
#ifndef TANDEM_MODEL_ARCHITECTURE_H_
#define TANDEM_MODEL_ARCHITECTURE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tandem {

// A module of a layer: under "model.layers.N." in a Hugging Face folder, under
// "blk.N." in a GGUF; both followed by ".weight". Empty names: there is none.
struct LayerModule {
  std::string_view huggingface = {};
  std::string_view gguf = {};
  bool exists() const { return !huggingface.empty(); }
};

// Which projections of attention have biases.
enum class AttentionBias {
  kNone,
  kQueryKeyValue,
  kByConfig  // q, k, v and o where DecoderConfig::attention_bias says so
};

// What the gate of the feed-forward block goes through.
enum class Activation { kSilu, kGeluTanh };

// What a config.json leaves out, as transformers' class of it has it.
struct ConfigDefaults {
  int64_t head_size = 0;  // 0: hidden_size / attention_heads
  int64_t context_length = 0;
  double rope_theta = 10000;
  bool tied_embeddings = false;
  int64_t sliding_window = 0;
  double query_scalar = 0;  // 0: head_size
};

struct Architecture {
  std::string_view name;        // general.architecture in a GGUF
  std::string_view model_type;  // in config.json
  std::string_view class_name;  // transformers' class, in config.json
  ConfigDefaults defaults = {};

  // Norms, in the order in which a layer computes them.
  LayerModule attention_norm = {"input_layernorm", "attn_norm"};
  LayerModule query_norm = {};  // [head_size], head by head, before rotation
  LayerModule key_norm = {};
  LayerModule attention_output_norm = {};  // before the residual sum
  LayerModule feed_forward_norm = {"post_attention_layernorm", "ffn_norm"};
  LayerModule feed_forward_output_norm = {};  // before the residual sum
  // Norms multiply by weight + this. A GGUF holds that sum.
  double norm_offset = 0;

  AttentionBias bias = AttentionBias::kNone;
  Activation activation = Activation::kSilu;
  std::string_view activation_field = "hidden_act";  // in config.json
  std::string_view activation_name = "silu";
  // Embeddings are multiplied by sqrt(hidden_size).
  bool scales_embeddings = false;
  // All but every window_period-th layer see a window where config.json's
  // layer_types or a GGUF's sliding_window_pattern say nothing else. 0: no
  // layer can have one.
  int64_t window_period = 0;
  // A GGUF orders the rows of q and k for rotation of neighbouring pairs.
  bool interleaves_rotation = false;
  // A GGUF may hold frequencies' divisors as rope_freqs.weight.
  bool has_rope_divisors = false;
  // llama.cpp's exception: models of so many layers scale scores by hidden_size
  // / attention_heads, which no key of a GGUF says. 0: none.
  int64_t layers_scaled_by_width = 0;
};

// By GGUF's name and by config.json's model_type. InvalidArgument that lists
// the known ones.
StatusOr<const Architecture*> FindArchitecture(std::string_view name);
StatusOr<const Architecture*> FindModelType(std::string_view model_type);

// REQUIRES: FindArchitecture(name) is OK.
const Architecture& ArchitectureNamed(std::string_view name);

// True for all layers but every period-th. Period 1: none; above the number of
// layers: all.
std::vector<bool> PeriodicWindows(int64_t layers, int64_t period);

// The table's entries, each in a file of its own.
Architecture LlamaArchitecture();
Architecture Qwen2Architecture();
Architecture Qwen3Architecture();
Architecture Gemma3Architecture();

}  // namespace tandem

#endif  // TANDEM_MODEL_ARCHITECTURE_H_
