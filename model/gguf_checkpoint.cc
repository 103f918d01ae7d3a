#include "model/gguf_checkpoint.h"

#include <ATen/ATen.h>
#include <spdlog/fmt/ranges.h>

#include <set>

#include "model/architecture.h"
#include "model/gguf_config.h"
#include "model/gguf_tokenizer.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

// fp32, rows in Hugging Face's order. REQUIRES: columns are whole blocks.
at::Tensor Dequantise(const GgufTensor& source, const WeightLayout& weight) {
  at::Tensor result = at::empty(weight.shape, at::kFloat);
  float* values = result.mutable_data_ptr<float>();
  const GgmlFormat& format = *source.format;
  const int64_t columns = weight.columns();
  const int64_t blocks = columns / format.block_values;
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < weight.rows(); ++row) {
    format.decode(source.data.data() + row * blocks * format.block_bytes,
                  blocks, values + weight.HuggingFaceRowOf(row) * columns);
  }
  return weight.gguf_offset == 0 ? result : result.sub_(weight.gguf_offset);
}

Status CheckNames(const GgufFile& file, const DecoderConfig& config,
                  const std::vector<WeightLayout>& weights) {
  std::set<std::string> expected;
  for (const WeightLayout& weight : weights) expected.insert(weight.gguf_name);
  if (ArchitectureNamed(config.architecture).has_rope_divisors) {
    expected.insert(kRopeDivisorsName);
  }
  for (const auto& [name, tensor] : file.tensors) {
    if (!expected.contains(name)) {
      return InvalidArgument("tensor '{}' is not supported", name);
    }
  }
  return OkStatus();
}

Status CheckGgufTensor(const GgufTensor& tensor, const WeightLayout& weight) {
  if (tensor.shape != weight.shape) {
    return InvalidArgument("tensor '{}' has the shape [{}], expected [{}]",
                           weight.gguf_name, fmt::join(tensor.shape, ", "),
                           fmt::join(weight.shape, ", "));
  }
  if (weight.columns() % tensor.format->block_values != 0) {
    return InvalidArgument("vector '{}' is {}, expected F32, F16 or BF16",
                           weight.gguf_name, tensor.format->name);
  }
  return OkStatus();
}

StatusOr<TensorMap> TensorsOf(const GgufFile& file,
                              const DecoderConfig& config) {
  const std::vector<WeightLayout> weights = WeightsOf(config);
  TANDEM_RETURN_IF_ERROR(CheckNames(file, config, weights));
  TensorMap tensors;
  for (const WeightLayout& weight : weights) {
    const auto found = file.tensors.find(weight.gguf_name);
    if (found == file.tensors.end()) {
      return InvalidArgument("tensor '{}' is missing", weight.gguf_name);
    }
    TANDEM_RETURN_IF_ERROR(CheckGgufTensor(found->second, weight));
    tensors[weight.name] = Dequantise(found->second, weight);
  }
  return tensors;
}

StatusOr<Checkpoint> CheckpointOf(const GgufFile& file) {
  Checkpoint checkpoint;
  TANDEM_ASSIGN_OR_RETURN(checkpoint.config, ConfigOfGguf(file));
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tokenizer, TokenizerOfGguf(file));
  if (static_cast<int64_t>(checkpoint.tokenizer.tokens.size()) >
      checkpoint.config.vocabulary_size) {
    return InvalidArgument("{} tokens, but only {} rows of embeddings",
                           checkpoint.tokenizer.tokens.size(),
                           checkpoint.config.vocabulary_size);
  }
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tensors,
                          TensorsOf(file, checkpoint.config));
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
