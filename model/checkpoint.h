// A model on disk: a GGUF file or a Hugging Face folder, read into one form and
// written as either.
#ifndef TANDEM_MODEL_CHECKPOINT_H_
#define TANDEM_MODEL_CHECKPOINT_H_

#include <filesystem>
#include <string>

#include "common/status.h"
#include "model/decoder_config.h"
#include "model/tensor_map.h"
#include "model/tokenizer_data.h"

namespace tandem {

struct Checkpoint {
  DecoderConfig config;
  // Hugging Face names: model.embed_tokens.weight,
  // model.layers.0.self_attn.q_proj.weight, ..., model.norm.weight, and
  // lm_head.weight unless the embeddings are tied. Linear weights are [out,
  // in]. From a GGUF they are fp32, dequantised exactly, q and k in Hugging
  // Face's row order; from a folder they keep the file's dtype and are views of
  // the mapped file.
  TensorMap tensors;
  TokenizerData tokenizer;
};

// A file ending in .gguf, or a folder with config.json, model.safetensors and
// tokenizer.json. NotFound, or InvalidArgument naming the file, key or tensor:
// missing or misshapen tensors, unknown architecture, tokenizer model or tensor
// type, anything that ReadSafetensors or ReadGguf refuse.
StatusOr<Checkpoint> LoadCheckpoint(const std::filesystem::path& path);

// config.json, generation_config.json, model.safetensors, tokenizer.json,
// tokenizer_config.json, special_tokens_map.json. dtype: kFloat, kHalf or
// kBFloat16 for all tensors.
Status SaveHuggingFace(const Checkpoint& checkpoint, at::ScalarType dtype,
                       const std::filesystem::path& folder);

// type: "f32", "f16", "bf16", "q8_0" or "q4_0" for the matrices; vectors stay
// F32. q4_0 keeps the embedding table in Q8_0.
Status SaveGguf(const Checkpoint& checkpoint, const std::string& type,
                const std::filesystem::path& path);

// SHA-256 over the shape, the tokenizer's merges, and names, shapes and fp32
// values of all tensors in order: equal for equal models, whichever file they
// came from.
std::string Digest(const Checkpoint& checkpoint);

// The student of the main job: `keep` of the layers, evenly spaced, the first
// and the last among them, renumbered. InvalidArgument unless 2 <= keep <=
// layers.
StatusOr<Checkpoint> KeepLayers(const Checkpoint& checkpoint, int64_t keep);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHECKPOINT_H_
