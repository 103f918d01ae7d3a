#include "model/checkpoint.h"

#include <spdlog/fmt/ranges.h>

#include <cmath>
#include <vector>

#include "common/digest.h"
#include "model/aten.h"
#include "model/gguf_checkpoint.h"
#include "model/huggingface_folder.h"
#include "model/rotary_frequencies.h"

namespace tandem {
namespace {

constexpr int64_t kDigestChunk = 1 << 18;  // values: 1 MiB stays in cache

Status CheckTokenCount(const Checkpoint& checkpoint) {
  const auto tokens = static_cast<int64_t>(checkpoint.tokenizer.tokens.size());
  if (tokens <= checkpoint.config.vocabulary_size) return OkStatus();
  return InvalidArgument("{} tokens, but only {} rows of embeddings", tokens,
                         checkpoint.config.vocabulary_size);
}

std::string_view BytesOf(const at::Tensor& contiguous) {
  return {static_cast<const char*>(contiguous.const_data_ptr()),
          contiguous.nbytes()};
}

// SHA-256 of the fp32 values; those of another type are converted chunk by
// chunk.
std::string DigestOfValues(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous().view(-1);
  if (flat.scalar_type() == at::kFloat) return Sha256Hex(BytesOf(flat));
  Sha256 digest;
  for (int64_t i = 0; i < flat.numel(); i += kDigestChunk) {
    const int64_t size = std::min(kDigestChunk, flat.numel() - i);
    digest.Update(BytesOf(flat.narrow(0, i, size).to(at::kFloat)));
  }
  return std::move(digest).HexDigest();
}

// The same of a matrix in blocks, a few rows at a time.
std::string DigestOfValues(const BlockMatrix& matrix) {
  const int64_t strip = std::max<int64_t>(1, kDigestChunk / matrix.columns);
  std::vector<float> values(strip * matrix.columns);
  Sha256 digest;
  for (int64_t row = 0; row < matrix.rows; row += strip) {
    const int64_t rows = std::min(strip, matrix.rows - row);
    for (int64_t i = 0; i < rows; ++i)
      matrix.DecodeRow(row + i, values.data() + i * matrix.columns);
    digest.Update({reinterpret_cast<const char*>(values.data()),
                   static_cast<size_t>(rows * matrix.columns) * sizeof(float)});
  }
  return std::move(digest).HexDigest();
}

// Of configurations that have more than a plain llama's.
std::string DescribeTraits(const DecoderConfig& c) {
  std::string text;
  const RopeScaling& s = c.rope_scaling;
  if (s.type != RopeScaling::Type::kNone) {
    text += fmt::format(
        "rope divisors {}\n",
        fmt::join(RotaryDivisors(c.head_size, c.rope_theta, s), ","));
  }
  if (c.ScoreScale() != 1 / std::sqrt(static_cast<double>(c.head_size)) &&
      c.head_size > 0) {
    text += fmt::format("scale {}\n", static_cast<float>(c.ScoreScale()));
  }
  if (!c.windowed_layers.empty()) {
    text += fmt::format("window {} of {} theta {}\n", c.sliding_window,
                        fmt::join(c.windowed_layers, ","),
                        static_cast<float>(c.local_rope_theta));
  }
  return text;
}

// A GGUF keeps SentencePiece's scores, a tokenizer.json its merges; both have
// the tokens.
std::string DescribeVocabulary(const TokenizerData& data) {
  return data.model == TokenizerModel::kByteLevelBpe
             ? fmt::format("merges {}", fmt::join(data.merges, "\n"))
             : fmt::format("tokens {}", fmt::join(data.tokens, "\n"));
}

// What the same tensors would be computed with, and the ids that mean a text.
// Numbers as fp32, which is what a GGUF keeps of them.
std::string Describe(const Checkpoint& checkpoint) {
  const DecoderConfig& c = checkpoint.config;
  const TokenizerData& t = checkpoint.tokenizer;
  return fmt::format(
      "{} heads {}/{}x{} context {} epsilon {} theta {} tied {}\n"
      "{}{} {}\n",
      c.architecture, c.attention_heads, c.key_value_heads, c.head_size,
      c.context_length, static_cast<float>(c.rms_norm_epsilon),
      static_cast<float>(c.rope_theta), c.tied_embeddings, DescribeTraits(c),
      t.pre_tokenizer, DescribeVocabulary(t));
}

}  // namespace

StatusOr<Checkpoint> LoadCheckpoint(const std::filesystem::path& path,
                                    GgufMatrices matrices) {
  std::error_code error;
  const auto type = std::filesystem::status(path, error).type();
  if (type == std::filesystem::file_type::not_found) {
    return NotFound("there is no model at {}", path.string());
  }
  const bool is_folder = type == std::filesystem::file_type::directory;
  if (!is_folder && path.extension() != ".gguf") {
    return InvalidArgument("{} is neither a .gguf file nor a folder",
                           path.string());
  }
  TANDEM_ASSIGN_OR_RETURN(
      Checkpoint checkpoint,
      is_folder ? LoadHuggingFace(path) : LoadGgufCheckpoint(path, matrices));
  TANDEM_RETURN_IF_ERROR(Annotate(CheckTokenCount(checkpoint), path.string()));
  return checkpoint;
}

std::string Digest(const Checkpoint& checkpoint) {
  std::map<std::string, FrozenWeight> weights;
  for (const auto& [name, tensor] : checkpoint.tensors) weights[name] = tensor;
  for (const auto& [name, blocks] : checkpoint.blocks)
    weights[name] = FrozenWeight(blocks);
  const std::vector<std::pair<std::string, FrozenWeight>> list(weights.begin(),
                                                               weights.end());
  std::vector<std::string> digests(list.size());
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < list.size(); ++i) {
    const FrozenWeight& weight = list[i].second;
    digests[i] = weight.blocks() ? DigestOfValues(*weight.blocks())
                                 : DigestOfValues(weight.tensor());
  }
  Sha256 whole;
  whole.Update(Describe(checkpoint));
  for (size_t i = 0; i < list.size(); ++i) {
    const auto& [name, weight] = list[i];
    const std::vector<int64_t> shape =
        weight.blocks() ? std::vector<int64_t>{weight.rows(), weight.columns()}
                        : weight.tensor().sizes().vec();
    whole.Update(fmt::format("{}:{} [{}] {}\n", name.size(), name,
                             fmt::join(shape, ","), digests[i]));
  }
  return std::move(whole).HexDigest();
}

}  // namespace tandem
