// A model in a GGUF file: configuration, weights and tokenizer.
#ifndef TANDEM_MODEL_GGUF_CHECKPOINT_H_
#define TANDEM_MODEL_GGUF_CHECKPOINT_H_

#include <filesystem>

#include "common/status.h"
#include "model/checkpoint.h"
#include "model/gguf_reader.h"

namespace tandem {

// The errors of LoadCheckpoint, led by the file's path.
StatusOr<Checkpoint> LoadGgufCheckpoint(const std::filesystem::path& path,
                                        GgufMatrices matrices);

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_CHECKPOINT_H_
