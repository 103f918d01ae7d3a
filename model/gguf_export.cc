// SaveGguf: the metadata that llama.cpp wants, and the weights in its order.
#include <cmath>

#include "model/aten.h"
#include "model/checkpoint.h"
#include "model/gguf_config.h"
#include "model/gguf_tokenizer.h"
#include "model/gguf_writer.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

struct ExportType {
  std::string_view name;
  GgmlType matrices;
  GgmlType tables;     // token embeddings and head
  uint32_t file_type;  // llama.cpp's LLAMA_FTYPE
};

constexpr ExportType kExportTypes[] = {
    {"f32", GgmlType::kF32, GgmlType::kF32, 0},
    {"f16", GgmlType::kF16, GgmlType::kF16, 1},
    {"bf16", GgmlType::kBF16, GgmlType::kBF16, 32},
    {"q8_0", GgmlType::kQ8_0, GgmlType::kQ8_0, 7},
    {"q6_k", GgmlType::kQ6_K, GgmlType::kQ6_K, 18},
    {"q5_0", GgmlType::kQ5_0, GgmlType::kQ6_K, 8},
    {"q4_k", GgmlType::kQ4_K, GgmlType::kQ6_K, 14},
    {"q4_0", GgmlType::kQ4_0, GgmlType::kQ8_0, 2}};

// What llama.cpp's quantiser takes where a row is not whole blocks.
struct Fallback {
  GgmlType type, instead;
};
constexpr Fallback kFallbacks[] = {{GgmlType::kQ4_K, GgmlType::kQ5_0},
                                   {GgmlType::kQ6_K, GgmlType::kQ8_0}};

constexpr uint32_t kQuantizationVersion = 2;  // GGML_QNT_VERSION

StatusOr<ExportType> FindExportType(const std::string& name) {
  std::vector<std::string_view> known;
  for (const ExportType& type : kExportTypes) {
    if (type.name == name) return type;
    known.push_back(type.name);
  }
  return InvalidArgument("GGUF type '{}' is not one of {}", name,
                         fmt::join(known, ", "));
}

Status AddModel(const Checkpoint& checkpoint, const ExportType& type,
                const std::string& name, GgufWriter& writer) {
  writer.AddText("general.architecture", checkpoint.config.architecture);
  writer.AddText("general.type", "model");
  writer.AddText("general.name", name);
  TANDEM_RETURN_IF_ERROR(AddConfig(checkpoint.config, writer));
  writer.AddUint32("general.file_type", type.file_type);
  writer.AddUint32("general.quantization_version", kQuantizationVersion);
  return OkStatus();
}

const GgmlFormat& FallbackOf(GgmlType type) {
  for (const Fallback& fallback : kFallbacks) {
    if (fallback.type == type) return FormatOf(fallback.instead);
  }
  return FormatOf(GgmlType::kF16);
}

// Vectors stay F32.
const GgmlFormat& FormatFor(const WeightLayout& weight,
                            const ExportType& type) {
  if (weight.shape.size() == 1) return FormatOf(GgmlType::kF32);
  const bool is_table = weight.gguf_name == "token_embd.weight" ||
                        weight.gguf_name == "output.weight";
  const GgmlFormat* format = &FormatOf(is_table ? type.tables : type.matrices);
  while (weight.shape.back() % format->block_values != 0) {
    format = &FallbackOf(format->type);
  }
  return *format;
}

// A weight beyond the type's range would become an infinity in silence.
Status CheckEncodable(const std::string& name, const at::Tensor& values,
                      const GgmlFormat& format) {
  const double largest = values.abs().max().item<double>();
  if (std::isfinite(largest) && largest <= format.largest) return OkStatus();
  return InvalidArgument(
      "tensor '{}' holds a value of magnitude {}, which {} cannot", name,
      largest, format.name);
}

// Encodes row by row, rows in the GGUF's order.
StatusOr<std::string> Encode(const WeightLayout& weight,
                             const at::Tensor& tensor,
                             const GgmlFormat& format) {
  at::Tensor values = tensor.to(at::kFloat).contiguous();
  if (weight.gguf_offset != 0) values = values + weight.gguf_offset;
  TANDEM_RETURN_IF_ERROR(CheckEncodable(weight.name, values, format));
  const float* source = values.const_data_ptr<float>();
  const int64_t columns = weight.columns();
  const int64_t blocks = columns / format.block_values;
  const int64_t row_bytes = blocks * format.block_bytes;
  std::string bytes(static_cast<size_t>(weight.rows() * row_bytes), '\0');
  auto* out = reinterpret_cast<std::byte*>(bytes.data());
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < weight.rows(); ++row) {
    format.encode(source + weight.HuggingFaceRowOf(row) * columns, blocks,
                  out + row * row_bytes);
  }
  return bytes;
}

}  // namespace

Status SaveGguf(const Checkpoint& checkpoint, const std::string& type,
                const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const ExportType export_type, FindExportType(type));
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(checkpoint.config));
  TANDEM_RETURN_IF_ERROR(CheckWeights(checkpoint.config, checkpoint.tensors));
  GgufWriter writer;
  TANDEM_RETURN_IF_ERROR(
      AddModel(checkpoint, export_type, path.stem().string(), writer));
  TANDEM_RETURN_IF_ERROR(AddTokenizer(
      checkpoint.tokenizer, checkpoint.config.vocabulary_size, writer));
  for (const WeightLayout& weight : WeightsOf(checkpoint.config)) {
    const GgmlFormat& format = FormatFor(weight, export_type);
    const at::Tensor& tensor = checkpoint.tensors.at(weight.name);
    writer.AddTensor(
        weight.gguf_name, weight.shape, format,
        [weight, &tensor, &format] { return Encode(weight, tensor, format); });
  }
  return writer.Write(path);
}

}  // namespace tandem
