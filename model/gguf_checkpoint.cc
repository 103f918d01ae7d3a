#include "model/gguf_checkpoint.h"

#include <ATen/ATen.h>

#include <set>

#include "model/gguf_tokenizer.h"
#include "model/llama_layout.h"

namespace tandem {
namespace {

// Sizes are checked against their bounds by CheckDecoderConfig; this bound is
// for reading alone.
constexpr int64_t kAnySize = int64_t{1} << 40;

// Rotary embeddings other than plain ones would be computed wrongly, not
// refused later.
Status CheckNoUnsupportedFeatures(const GgufFile& file,
                                  const std::string& prefix) {
  const std::string scaling = prefix + "rope.scaling.type";
  if (file.Has(scaling)) {
    TANDEM_ASSIGN_OR_RETURN(const std::string type, file.Text(scaling));
    if (type != "none") {
      return InvalidArgument("key '{}' is '{}', only 'none' is supported",
                             scaling, type);
    }
  }
  const std::string experts = prefix + "expert_count";
  if (file.Has(experts)) {
    TANDEM_RETURN_IF_ERROR(file.Integer(experts, 0, 0).status());
  }
  return OkStatus();
}

StatusOr<int64_t> HeadSize(const GgufFile& file, const std::string& prefix,
                           const DecoderConfig& config) {
  int64_t size =
      config.hidden_size / std::max<int64_t>(1, config.attention_heads);
  if (file.Has(prefix + "attention.key_length")) {
    TANDEM_ASSIGN_OR_RETURN(
        size, file.Integer(prefix + "attention.key_length", 1, kAnySize));
  } else if (config.attention_heads * size != config.hidden_size) {
    return InvalidArgument(
        "embedding_length {} does not divide into head_count {}",
        config.hidden_size, config.attention_heads);
  }
  for (const char* name : {"attention.value_length", "rope.dimension_count"}) {
    if (!file.Has(prefix + name)) continue;
    TANDEM_RETURN_IF_ERROR(file.Integer(prefix + name, size, size).status());
  }
  return size;
}

StatusOr<int64_t> VocabularySize(const GgufFile& file) {
  const auto table = file.tensors.find("token_embd.weight");
  if (table == file.tensors.end() || table->second.shape.size() != 2) {
    return InvalidArgument(
        "tensor 'token_embd.weight' is missing or no matrix");
  }
  return table->second.shape[0];
}

StatusOr<DecoderConfig> ConfigOf(const GgufFile& file) {
  DecoderConfig c;
  TANDEM_ASSIGN_OR_RETURN(c.architecture, file.Text("general.architecture"));
  TANDEM_RETURN_IF_ERROR(CheckArchitecture(c.architecture));
  const std::string prefix = c.architecture + ".";
  TANDEM_RETURN_IF_ERROR(CheckNoUnsupportedFeatures(file, prefix));
  const auto size = [&](const char* name) {
    return file.Integer(prefix + name, 1, kAnySize);
  };
  TANDEM_ASSIGN_OR_RETURN(c.hidden_size, size("embedding_length"));
  TANDEM_ASSIGN_OR_RETURN(c.intermediate_size, size("feed_forward_length"));
  TANDEM_ASSIGN_OR_RETURN(c.layers, size("block_count"));
  TANDEM_ASSIGN_OR_RETURN(c.context_length, size("context_length"));
  TANDEM_ASSIGN_OR_RETURN(c.attention_heads, size("attention.head_count"));
  c.key_value_heads = c.attention_heads;
  if (file.Has(prefix + "attention.head_count_kv")) {
    TANDEM_ASSIGN_OR_RETURN(c.key_value_heads, size("attention.head_count_kv"));
  }
  TANDEM_ASSIGN_OR_RETURN(c.head_size, HeadSize(file, prefix, c));
  TANDEM_ASSIGN_OR_RETURN(c.vocabulary_size, VocabularySize(file));
  TANDEM_ASSIGN_OR_RETURN(
      c.rms_norm_epsilon,
      file.Number(prefix + "attention.layer_norm_rms_epsilon"));
  if (file.Has(prefix + "rope.freq_base")) {
    TANDEM_ASSIGN_OR_RETURN(c.rope_theta,
                            file.Number(prefix + "rope.freq_base"));
  }
  c.tied_embeddings = !file.tensors.contains("output.weight");
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
  return c;
}

// fp32, rows in Hugging Face's order.
at::Tensor Dequantise(const GgufTensor& source, const WeightLayout& weight) {
  at::Tensor result = at::empty(weight.shape, at::kFloat);
  float* values = result.mutable_data_ptr<float>();
  const GgmlFormat& format = *source.format;
  const int64_t columns = weight.shape.back();
  const int64_t rows = result.numel() / columns;
  const int64_t blocks = columns / format.block_values;
  const int64_t head_size =
      weight.interleaved_heads ? rows / weight.interleaved_heads : 0;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t to = head_size ? HuggingFaceRow(row, head_size) : row;
    format.decode(source.data.data() + row * blocks * format.block_bytes,
                  blocks, values + to * columns);
  }
  return result;
}

Status CheckNames(const GgufFile& file,
                  const std::vector<WeightLayout>& weights) {
  std::set<std::string> expected;
  for (const WeightLayout& weight : weights) expected.insert(weight.gguf_name);
  for (const auto& [name, tensor] : file.tensors) {
    if (!expected.contains(name)) {
      return InvalidArgument("tensor '{}' is not supported", name);
    }
  }
  return OkStatus();
}

StatusOr<TensorMap> WeightsOf(const GgufFile& file,
                              const DecoderConfig& config) {
  const std::vector<WeightLayout> weights = LlamaWeights(config);
  TANDEM_RETURN_IF_ERROR(CheckNames(file, weights));
  TensorMap tensors;
  for (const WeightLayout& weight : weights) {
    const auto found = file.tensors.find(weight.gguf_name);
    if (found == file.tensors.end()) {
      return InvalidArgument("tensor '{}' is missing", weight.gguf_name);
    }
    if (found->second.shape != weight.shape) {
      return InvalidArgument(
          "tensor '{}' has the shape [{}], expected [{}]", weight.gguf_name,
          fmt::join(found->second.shape, ", "), fmt::join(weight.shape, ", "));
    }
    tensors[weight.name] = Dequantise(found->second, weight);
  }
  return tensors;
}

StatusOr<Checkpoint> CheckpointOf(const GgufFile& file) {
  Checkpoint checkpoint;
  TANDEM_ASSIGN_OR_RETURN(checkpoint.config, ConfigOf(file));
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tokenizer, TokenizerOfGguf(file));
  if (static_cast<int64_t>(checkpoint.tokenizer.tokens.size()) >
      checkpoint.config.vocabulary_size) {
    return InvalidArgument("{} tokens, but only {} rows of embeddings",
                           checkpoint.tokenizer.tokens.size(),
                           checkpoint.config.vocabulary_size);
  }
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tensors,
                          WeightsOf(file, checkpoint.config));
  return checkpoint;
}

}  // namespace

StatusOr<Checkpoint> LoadGgufCheckpoint(const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const GgufFile file, ReadGguf(path));
  StatusOr<Checkpoint> checkpoint = CheckpointOf(file);
  if (!checkpoint.ok()) return Annotate(checkpoint.status(), file.name);
  return checkpoint;
}

}  // namespace tandem
