// A model in a Hugging Face folder: configuration, weights and tokenizer.
#ifndef TANDEM_MODEL_HUGGINGFACE_FOLDER_H_
#define TANDEM_MODEL_HUGGINGFACE_FOLDER_H_

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "common/status.h"
#include "model/checkpoint.h"

namespace tandem {

// The errors of LoadCheckpoint, led by the path of the file at fault. Weights
// may be in shards with a model.safetensors.index.json.
StatusOr<Checkpoint> LoadHuggingFace(const std::filesystem::path& folder);

// config.json -> configuration. InvalidArgument, naming the field: missing, out
// of range, or a feature that Tandem would compute wrongly (soft caps, experts,
// yarn, another activation).
StatusOr<DecoderConfig> ParseHuggingFaceConfig(std::string_view text);

// The way back. `dtype` is what the folder's weights are in.
StatusOr<std::string> FormatHuggingFaceConfig(const Checkpoint& checkpoint,
                                              at::ScalarType dtype);
StatusOr<std::string> FormatGenerationConfig(const TokenizerData& tokenizer);

}  // namespace tandem

#endif  // TANDEM_MODEL_HUGGINGFACE_FOLDER_H_
