#include "model/gguf_checkpoint.h"

#include <spdlog/fmt/ranges.h>

#include <set>

#include "model/architecture.h"
#include "model/aten.h"
#include "model/gguf_config.h"
#include "model/gguf_tokenizer.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

// Rows in Hugging Face's order. REQUIRES: columns are whole blocks.
std::shared_ptr<const BlockMatrix> BlocksOf(const GgufFile& file,
                                            const GgufTensor& source,
                                            const WeightLayout& weight) {
  auto matrix = std::make_shared<BlockMatrix>();
  matrix->format = source.format;
  matrix->rows = weight.rows();
  matrix->columns = weight.columns();
  matrix->data = source.data.data();
  matrix->owner = file.mapping;
  if (weight.interleaved_heads == 0) return matrix;
  matrix->stored_rows.resize(matrix->rows);
  for (int64_t row = 0; row < matrix->rows; ++row)
    matrix->stored_rows[weight.HuggingFaceRowOf(row)] =
        static_cast<int32_t>(row);
  return matrix;
}

// fp32, rows in Hugging Face's order.
at::Tensor Dequantise(std::shared_ptr<const BlockMatrix> blocks,
                      const WeightLayout& weight) {
  at::Tensor result =
      FrozenWeight(std::move(blocks)).To(at::kFloat).view(weight.shape);
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

Status ReadMatrices(const GgufFile& file, GgufMatrices matrices,
                    Checkpoint& checkpoint) {
  const std::vector<WeightLayout> weights = WeightsOf(checkpoint.config);
  TANDEM_RETURN_IF_ERROR(CheckNames(file, checkpoint.config, weights));
  for (const WeightLayout& weight : weights) {
    const auto found = file.tensors.find(weight.gguf_name);
    if (found == file.tensors.end()) {
      return InvalidArgument("tensor '{}' is missing", weight.gguf_name);
    }
    TANDEM_RETURN_IF_ERROR(CheckGgufTensor(found->second, weight));
    auto blocks = BlocksOf(file, found->second, weight);
    if (matrices == GgufMatrices::kKeepBlocks && weight.shape.size() == 2) {
      checkpoint.blocks[weight.name] = std::move(blocks);
    } else {
      checkpoint.tensors[weight.name] = Dequantise(std::move(blocks), weight);
    }
  }
  return OkStatus();
}

StatusOr<Checkpoint> CheckpointOf(const GgufFile& file, GgufMatrices matrices) {
  Checkpoint checkpoint;
  TANDEM_ASSIGN_OR_RETURN(checkpoint.config, ConfigOfGguf(file));
  TANDEM_ASSIGN_OR_RETURN(checkpoint.tokenizer, TokenizerOfGguf(file));
  if (static_cast<int64_t>(checkpoint.tokenizer.tokens.size()) >
      checkpoint.config.vocabulary_size) {
    return InvalidArgument("{} tokens, but only {} rows of embeddings",
                           checkpoint.tokenizer.tokens.size(),
                           checkpoint.config.vocabulary_size);
  }
  TANDEM_RETURN_IF_ERROR(ReadMatrices(file, matrices, checkpoint));
  return checkpoint;
}

}  // namespace

StatusOr<Checkpoint> LoadGgufCheckpoint(const std::filesystem::path& path,
                                        GgufMatrices matrices) {
  TANDEM_ASSIGN_OR_RETURN(const GgufFile file, ReadGguf(path));
  StatusOr<Checkpoint> checkpoint = CheckpointOf(file, matrices);
  if (!checkpoint.ok()) return Annotate(checkpoint.status(), file.name);
  return checkpoint;
}

}  // namespace tandem
