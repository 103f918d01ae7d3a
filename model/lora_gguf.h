// LoRA adapters as GGUF files, which llama.cpp loads beside a base model
// (convert_lora_to_gguf.py and src/llama-adapter.cpp of ggml-org/llama.cpp):
// "blk.0.attn_q.weight.lora_a" [r, in] and ".lora_b" [out, r] for every adapted
// linear, B's rows in the order of the base's GGUF. There is one
// adapter.lora.alpha for all, and r is each pair's own: the runtime adds
// (alpha / r) B A.
#ifndef TANDEM_MODEL_LORA_GGUF_H_
#define TANDEM_MODEL_LORA_GGUF_H_

#include <filesystem>

#include "common/status.h"
#include "model/adapter.h"
#include "model/decoder_config.h"

namespace tandem {

// fp32. alpha is what gives the first module its scale (rsLoRA: lora_alpha
// sqrt(r)); where another module's alpha differs, the ratio goes into its B.
// InvalidArgument: DoRA, not an adapter for this model; else the errors of
// WriteFileAtomically.
Status SaveLoraGguf(const Adapter& adapter, const DecoderConfig& config,
                    const std::filesystem::path& path);

// Any tensor type of GgmlType, as fp32. The errors of ReadGguf, and
// InvalidArgument led by the path: not a LoRA adapter, one for another
// architecture, a tensor that belongs to no linear of this model, or factors
// that are missing or do not fit the model or each other.
StatusOr<Adapter> LoadLoraGguf(const std::filesystem::path& path,
                               const DecoderConfig& config);

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_GGUF_H_
