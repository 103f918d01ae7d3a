#include "model/huggingface_folder.h"

#include <ATen/ATen.h>

#include "common/files.h"
#include "model/json_fields.h"
#include "model/safetensors_shards.h"
#include "model/tokenizer_json.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// The file's text handed to `parse`; errors are led by its path.
template <typename Parse>
auto ParseFile(const fs::path& path, Parse&& parse)
    -> std::invoke_result_t<Parse, const std::string&> {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto result = parse(text);
  if constexpr (std::is_same_v<decltype(result), Status>) {
    return Annotate(result, path.string());
  } else {
    if (!result.ok()) return Annotate(result.status(), path.string());
    return result;
  }
}

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

StatusOr<TokenizerData> LoadTokenizer(const fs::path& folder) {
  TANDEM_ASSIGN_OR_RETURN(
      TokenizerData data,
      ParseFile(folder / "tokenizer.json", ParseTokenizerJson));
  // The later file has the last word.
  for (const char* name :
       {"special_tokens_map.json", "tokenizer_config.json"}) {
    if (!Exists(folder / name)) continue;
    TANDEM_RETURN_IF_ERROR(
        ParseFile(folder / name, [&](const std::string& text) {
          return ApplyTokenizerConfig(text, data);
        }));
  }
  if (Exists(folder / "chat_template.jinja")) {
    TANDEM_ASSIGN_OR_RETURN(data.chat_template,
                            ReadFile(folder / "chat_template.jinja"));
  }
  return data;
}

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

Status WriteText(const fs::path& path, const StatusOr<std::string>& text) {
  if (!text.ok()) return Annotate(text.status(), path.string());
  return WriteFileAtomically(path, *text);
}

Status WriteTokenizer(const Checkpoint& checkpoint, const fs::path& folder) {
  const TokenizerData& data = checkpoint.tokenizer;
  TANDEM_RETURN_IF_ERROR(
      WriteText(folder / "tokenizer.json", FormatTokenizerJson(data)));
  TANDEM_RETURN_IF_ERROR(
      WriteText(folder / "tokenizer_config.json",
                FormatTokenizerConfig(data, checkpoint.config.context_length)));
  return WriteText(folder / "special_tokens_map.json",
                   FormatSpecialTokensMap(data));
}

}  // namespace

StatusOr<Checkpoint> LoadHuggingFace(const fs::path& folder) {
  Checkpoint checkpoint;
  TANDEM_ASSIGN_OR_RETURN(checkpoint.config, ParseFile(folder / "config.json",
                                                       ParseHuggingFaceConfig));
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tokenizer, LoadTokenizer(folder));
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
  TANDEM_RETURN_IF_ERROR(WriteTokenizer(checkpoint, folder));
  TANDEM_RETURN_IF_ERROR(
      WriteText(folder / "generation_config.json",
                FormatGenerationConfig(checkpoint.tokenizer)));
  return WriteText(folder / "config.json", config);
}

}  // namespace tandem
