#include "model/huggingface_folder.h"

#include "model/aten.h"
#include "model/safetensors_shards.h"
#include "model/text_file.h"
#include "model/tokenizer_folder.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// Tensors that some folders carry although they say nothing new.
void DropRedundant(const DecoderConfig& config, TensorMap& tensors) {
  if (config.tied_embeddings) tensors.erase("lm_head.weight");
  std::erase_if(tensors, [](const auto& entry) {
    return entry.first.ends_with(".rotary_emb.inv_freq");
  });
}

StatusOr<TensorMap> LoadWeights(const fs::path& folder,
                                const DecoderConfig& config) {
  TANDEM_ASSIGN_OR_RETURN(TensorMap tensors, ReadWeights(folder));
  DropRedundant(config, tensors);
  TANDEM_RETURN_IF_ERROR(
      Annotate(CheckWeights(config, tensors), WeightsFile(folder).string()));
  return tensors;
}

}  // namespace

StatusOr<Checkpoint> LoadHuggingFace(const fs::path& folder) {
  Checkpoint checkpoint;
  TANDEM_ASSIGN_OR_RETURN(checkpoint.config, ParseFile(folder / "config.json",
                                                       ParseHuggingFaceConfig));
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tokenizer, LoadTokenizerFiles(folder));
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tensors,
                          LoadWeights(folder, checkpoint.config));
  return checkpoint;
}

// config.json comes last: a folder that has it is complete.
Status SaveHuggingFace(const Checkpoint& checkpoint, at::ScalarType dtype,
                       const fs::path& folder, int64_t max_shard_bytes) {
  if (dtype != at::kFloat && dtype != at::kHalf && dtype != at::kBFloat16) {
    return InvalidArgument(
        "cannot save a model as {}, expected Float, Half or "
        "BFloat16",
        c10::toString(dtype));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string config,
                          FormatHuggingFaceConfig(checkpoint, dtype));
  TANDEM_RETURN_IF_ERROR(CheckWeights(checkpoint.config, checkpoint.tensors));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "create", folder);
  TANDEM_RETURN_IF_ERROR(
      WriteWeights(folder, checkpoint.tensors, dtype, max_shard_bytes));
  TANDEM_RETURN_IF_ERROR(SaveTokenizerFiles(
      checkpoint.tokenizer, checkpoint.config.context_length, folder));
  TANDEM_RETURN_IF_ERROR(
      WriteText(folder / "generation_config.json",
                FormatGenerationConfig(checkpoint.tokenizer)));
  return WriteText(folder / "config.json", config);
}

}  // namespace tandem
