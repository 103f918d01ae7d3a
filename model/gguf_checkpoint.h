// A llama in a GGUF file: configuration, weights and tokenizer.
#ifndef TANDEM_MODEL_GGUF_CHECKPOINT_H_
#define TANDEM_MODEL_GGUF_CHECKPOINT_H_

#include <filesystem>

#include "common/status.h"
#include "model/checkpoint.h"
#include "model/gguf_reader.h"

namespace tandem {

// The errors of LoadCheckpoint, led by the file's path.
StatusOr<Checkpoint> LoadGgufCheckpoint(const std::filesystem::path& path);

// The tokenizer in the metadata. InvalidArgument, naming the key: another
// tokenizer model than "gpt2", arrays of unequal length, ids out of range.
StatusOr<TokenizerData> TokenizerOfGguf(const GgufFile& file);

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_CHECKPOINT_H_
