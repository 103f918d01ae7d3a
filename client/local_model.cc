#include "client/local_model.h"

#include <utility>

namespace tandem {

StatusOr<LocalModel> CreateLocalModel(const Checkpoint& checkpoint,
                                      const std::string& compute_dtype) {
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(compute_dtype));
  TANDEM_ASSIGN_OR_RETURN(Tokenizer tokenizer,
                          Tokenizer::Create(checkpoint.tokenizer));
  TANDEM_ASSIGN_OR_RETURN(Decoder decoder,
                          Decoder::Create(checkpoint, storage));
  return LocalModel{std::move(decoder), std::move(tokenizer),
                    Digest(checkpoint)};
}

StatusOr<LocalModel> LoadLocalModel(const std::filesystem::path& path,
                                    const std::string& compute_dtype) {
  return CatchExceptions("loading " + path.string(),
                         [&]() -> StatusOr<LocalModel> {
                           TANDEM_ASSIGN_OR_RETURN(
                               const Checkpoint checkpoint,
                               LoadCheckpoint(path, GgufMatrices::kKeepBlocks));
                           return CreateLocalModel(checkpoint, compute_dtype);
                         });
}

}  // namespace tandem
