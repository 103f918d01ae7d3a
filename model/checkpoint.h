// A model on disk: a GGUF file or a Hugging Face folder, read into one form and
// written as either.
#ifndef TANDEM_MODEL_CHECKPOINT_H_
#define TANDEM_MODEL_CHECKPOINT_H_

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "common/status.h"
#include "model/decoder_config.h"
#include "model/frozen_weight.h"
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
  // Matrices of a GGUF that were left as they are, which then are not among
  // `tensors`: only where LoadCheckpoint was asked for it. Decoder::Create,
  // Digest and KeepLayers take them, nothing else does.
  std::map<std::string, std::shared_ptr<const BlockMatrix>> blocks = {};
};

// What becomes of the matrices in a GGUF file.
enum class GgufMatrices {
  kDequantise,
  kKeepBlocks,  // views of the mapped file: nothing to convert at start
};

// A file ending in .gguf, or a folder with config.json, model.safetensors and
// tokenizer.json or tokenizer.model. NotFound, or InvalidArgument naming the
// file, key or tensor: missing or misshapen tensors, unknown architecture,
// tokenizer model or tensor type, anything that ReadSafetensors or ReadGguf
// refuse.
StatusOr<Checkpoint> LoadCheckpoint(
    const std::filesystem::path& path,
    GgufMatrices matrices = GgufMatrices::kDequantise);

// Where transformers, too, goes over to a second file.
inline constexpr int64_t kMaxShardBytes = 5'000'000'000;

// config.json, generation_config.json, model.safetensors, tokenizer.json,
// tokenizer_config.json, special_tokens_map.json. dtype: kFloat, kHalf or
// kBFloat16 for all tensors. Above `max_shard_bytes` of tensors these go into
// model-00001-of-0000N.safetensors with a model.safetensors.index.json. Weights
// of an earlier save in the folder are removed.
Status SaveHuggingFace(const Checkpoint& checkpoint, at::ScalarType dtype,
                       const std::filesystem::path& folder,
                       int64_t max_shard_bytes = kMaxShardBytes);

// type: "f32", "f16", "bf16", "q8_0", "q6_k", "q5_0", "q4_k" or "q4_0" for the
// matrices; vectors stay F32. The tables (token embeddings and head) get more
// bits: Q6_K with q4_k and q5_0, Q8_0 with q4_0. Rows that are not whole blocks
// take llama.cpp's fall-back: Q4_K -> Q5_0, Q6_K -> Q8_0, others F16. q4_k is
// all Q4_K where llama.cpp's Q4_K_S raises some layers to Q5_K; its file_type,
// 14, is that of Q4_K_S.
Status SaveGguf(const Checkpoint& checkpoint, const std::string& type,
                const std::filesystem::path& path);

// SHA-256 over the shape, the tokenizer's merges or tokens, and names, shapes
// and fp32 values of all tensors in order: equal for equal models, whichever
// file they came from.
std::string Digest(const Checkpoint& checkpoint);

// The student of the main job: `keep` of the layers, evenly spaced, the first
// and the last among them, renumbered. InvalidArgument unless 2 <= keep <=
// layers.
StatusOr<Checkpoint> KeepLayers(const Checkpoint& checkpoint, int64_t keep);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHECKPOINT_H_
