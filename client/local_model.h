// The base model as clients hold it: loaded once, shared by all tasks and, in a
// simulation, by all clients.
#ifndef TANDEM_CLIENT_LOCAL_MODEL_H_
#define TANDEM_CLIENT_LOCAL_MODEL_H_

#include <filesystem>
#include <string>

#include "common/status.h"
#include "model/checkpoint.h"
#include "model/decoder.h"
#include "model/tokenizer.h"

namespace tandem {

// Immutable.
struct LocalModel {
  Decoder decoder;
  Tokenizer tokenizer;
  std::string digest;  // model/checkpoint.h: Digest
};

// compute_dtype: "auto", "fp32", "bf16" or "quantised". Errors of
// ParseComputeDtype, Decoder::Create and Tokenizer::Create.
StatusOr<LocalModel> CreateLocalModel(const Checkpoint& checkpoint,
                                      const std::string& compute_dtype);
// Likewise from a file; errors of LoadCheckpoint too.
StatusOr<LocalModel> LoadLocalModel(const std::filesystem::path& path,
                                    const std::string& compute_dtype);

}  // namespace tandem

#endif  // TANDEM_CLIENT_LOCAL_MODEL_H_
