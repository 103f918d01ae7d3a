#include <nlohmann/json.hpp>

#include "common/files.h"
#include "model/aten.h"
#include "model/safetensors.h"
#include "model/safetensors_dtype.h"

namespace tandem {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kHeaderAlignment = 8;

std::string LittleEndian64(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  }
  return bytes;
}

StatusOr<std::string> DumpJson(const OrderedJson& json) {
  try {
    return json.dump();
  } catch (const OrderedJson::type_error& error) {
    return InvalidArgument("a tensor name or metadata is not valid UTF-8: {}",
                           error.what());
  }
}

// Appends members without ordered_json's linear search for an equal key: the
// keys come from maps.
void Append(OrderedJson& object, const std::string& key, OrderedJson value) {
  auto& members = object.get_ref<OrderedJson::object_t&>();
  static_cast<OrderedJson::object_t::Container&>(members).emplace_back(
      key, std::move(value));
}

// Length and JSON, padded with spaces so that the data starts on 8 bytes.
StatusOr<std::string> Header(const TensorMap& tensors,
                             const std::map<std::string, std::string>& metadata,
                             std::optional<at::ScalarType> dtype_of_all) {
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const at::ScalarType type = dtype_of_all.value_or(tensor.scalar_type());
    const std::string_view dtype = SafetensorsNameOf(type);
    if (dtype.empty() || name == "__metadata__") {
      return InvalidArgument(
          "tensor '{}' of type {} cannot be written, expected one of {}", name,
          c10::toString(type), KnownSafetensorsDtypes());
    }
    const uint64_t end = offset + tensor.numel() * c10::elementSize(type);
    Append(header, name,
           {{"dtype", dtype},
            {"shape", tensor.sizes().vec()},
            {"data_offsets", {offset, end}}});
    offset = end;
  }
  TANDEM_ASSIGN_OR_RETURN(std::string json, DumpJson(header));
  json.resize((json.size() + kHeaderAlignment - 1) / kHeaderAlignment *
                  kHeaderAlignment,
              ' ');
  return LittleEndian64(json.size()) + json;
}

std::string_view BytesOf(const at::Tensor& contiguous) {
  return {static_cast<const char*>(contiguous.const_data_ptr()),
          contiguous.nbytes()};
}

}  // namespace

Status WriteSafetensors(const std::filesystem::path& path,
                        const TensorMap& tensors,
                        const std::map<std::string, std::string>& metadata,
                        std::optional<at::ScalarType> dtype) {
  StatusOr<std::string> header = Header(tensors, metadata, dtype);
  if (!header.ok()) return Annotate(header.status(), path.string());
  return WriteFileAtomically(path, [&](const AppendBytes& append) {
    TANDEM_RETURN_IF_ERROR(append(*header));
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor converted =
          tensor.to(dtype.value_or(tensor.scalar_type())).contiguous();
      TANDEM_RETURN_IF_ERROR(append(BytesOf(converted)));
    }
    return OkStatus();
  });
}

StatusOr<std::string> SerializeSafetensors(
    const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata) {
  TANDEM_ASSIGN_OR_RETURN(std::string bytes,
                          Header(tensors, metadata, std::nullopt));
  for (const auto& [name, tensor] : tensors) {
    bytes += BytesOf(tensor.contiguous());
  }
  return bytes;
}

}  // namespace tandem
