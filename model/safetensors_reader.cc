#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "common/files.h"
#include "model/aten.h"
#include "model/json_fields.h"
#include "model/safetensors.h"
#include "model/safetensors_dtype.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

constexpr size_t kLengthBytes = 8;
// The limit of the reference implementation; a header this long describes
// hundreds of thousands of tensors.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxDimensions = 8;

struct Entry {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes from the end of the header
};

uint64_t ReadLittleEndian64(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  }
  return value;
}

// nlohmann keeps the last of equal keys in silence; here they are an error, as
// two readers could disagree on which tensor is meant.
StatusOr<Json> ParseHeader(std::string_view text) {
  std::set<std::string> keys;
  std::string duplicate;
  const auto on_event = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth == 1 && event == Json::parse_event_t::key &&
        !keys.insert(value.get<std::string>()).second) {
      duplicate = value.get<std::string>();
    }
    return true;
  };
  Json header = Json::parse(text, on_event, /*allow_exceptions=*/false);
  if (header.is_discarded()) {
    return InvalidArgument("the header is not valid JSON");
  }
  if (!header.is_object()) {
    return InvalidArgument("the header is not a JSON object");
  }
  if (!duplicate.empty()) {
    return InvalidArgument("tensor '{}' is there twice", duplicate);
  }
  return header;
}

StatusOr<uint64_t> NonNegative(const Json& value, std::string_view what) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return InvalidArgument("{} is {}, expected a non-negative 64-bit integer",
                           what, Shown(value));
  }
  return value.get<uint64_t>();
}

StatusOr<std::vector<int64_t>> ParseShape(const Json& entry) {
  if (!entry.contains("shape") || !entry["shape"].is_array()) {
    return InvalidArgument("'shape' is missing or not an array");
  }
  if (entry["shape"].size() > kMaxDimensions) {
    return InvalidArgument("shape has {} dimensions, expected at most {}",
                           entry["shape"].size(), kMaxDimensions);
  }
  std::vector<int64_t> shape;
  for (const Json& dimension : entry["shape"]) {
    TANDEM_ASSIGN_OR_RETURN(const uint64_t size,
                            NonNegative(dimension, "a dimension of 'shape'"));
    shape.push_back(static_cast<int64_t>(size));
  }
  return shape;
}

StatusOr<at::ScalarType> ParseDtype(const Json& entry) {
  if (!entry.contains("dtype") || !entry["dtype"].is_string()) {
    return InvalidArgument("'dtype' is missing or not a string");
  }
  const auto name = entry["dtype"].get<std::string>();
  const auto type = ScalarTypeOfSafetensors(name);
  if (!type) {
    return InvalidArgument("dtype '{}' is not one of {}", name,
                           KnownSafetensorsDtypes());
  }
  return *type;
}

// Bytes of `shape`; strides of empty tensors are products too, so a zero counts
// as a one while looking for overflow.
StatusOr<uint64_t> ByteSize(const std::vector<int64_t>& shape,
                            at::ScalarType type) {
  int64_t upper = static_cast<int64_t>(c10::elementSize(type));
  bool empty = false;
  for (const int64_t size : shape) {
    empty |= size == 0;
    if (__builtin_mul_overflow(upper, std::max<int64_t>(size, 1), &upper)) {
      return InvalidArgument("shape [{}] overflows 64 bits",
                             fmt::join(shape, ", "));
    }
  }
  return empty ? 0 : static_cast<uint64_t>(upper);
}

Status ParseOffsets(const Json& json, uint64_t data_bytes, Entry& entry) {
  if (!json.contains("data_offsets") || !json["data_offsets"].is_array() ||
      json["data_offsets"].size() != 2) {
    return InvalidArgument("'data_offsets' is missing or not [begin, end]");
  }
  const Json& offsets = json["data_offsets"];
  TANDEM_ASSIGN_OR_RETURN(entry.begin, NonNegative(offsets[0], "begin"));
  TANDEM_ASSIGN_OR_RETURN(entry.end, NonNegative(offsets[1], "end"));
  if (entry.begin > entry.end || entry.end > data_bytes) {
    return InvalidArgument(
        "data_offsets [{}, {}] do not lie in order within the {} bytes of data",
        entry.begin, entry.end, data_bytes);
  }
  TANDEM_ASSIGN_OR_RETURN(const uint64_t bytes,
                          ByteSize(entry.shape, entry.type));
  if (entry.end - entry.begin != bytes) {
    return InvalidArgument(
        "data_offsets span {} bytes, {} [{}] needs {}", entry.end - entry.begin,
        SafetensorsNameOf(entry.type), fmt::join(entry.shape, ", "), bytes);
  }
  return OkStatus();
}

StatusOr<Entry> ParseEntry(const std::string& name, const Json& json,
                           uint64_t data_bytes) {
  if (!json.is_object()) return InvalidArgument("not a JSON object");
  Entry entry;
  entry.name = name;
  TANDEM_ASSIGN_OR_RETURN(entry.type, ParseDtype(json));
  TANDEM_ASSIGN_OR_RETURN(entry.shape, ParseShape(json));
  TANDEM_RETURN_IF_ERROR(ParseOffsets(json, data_bytes, entry));
  return entry;
}

Status ParseMetadata(const Json& json,
                     std::map<std::string, std::string>& metadata) {
  if (!json.is_object()) {
    return InvalidArgument("__metadata__ is not a JSON object");
  }
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) {
      return InvalidArgument("__metadata__ '{}' is not a string", key);
    }
    metadata[key] = value.get<std::string>();
  }
  return OkStatus();
}

// The tensors must tile the data: no byte unclaimed, none claimed twice.
Status CheckTiling(std::vector<Entry>& entries, uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected) {
      return InvalidArgument(
          "tensor '{}' begins at byte {}, {} {}", entry.name, entry.begin,
          entry.begin < expected ? "inside the tensor before "
                                   "it, which ends at"
                                 : "after a gap that begins "
                                   "at",
          expected);
    }
    expected = entry.end;
  }
  if (expected != data_bytes) {
    return InvalidArgument("tensors end at byte {} of {} bytes of data",
                           expected, data_bytes);
  }
  return OkStatus();
}

Status CheckBooleans(const Entry& entry, std::span<const std::byte> bytes) {
  if (entry.type != at::kBool) return OkStatus();
  for (const std::byte value : bytes) {
    if (std::to_integer<int>(value) > 1) {
      return InvalidArgument("tensor '{}' holds a BOOL of value {}", entry.name,
                             std::to_integer<int>(value));
    }
  }
  return OkStatus();
}

// A view of the mapping; a copy where the file does not align the elements.
at::Tensor ViewOf(const Entry& entry, std::span<const std::byte> bytes,
                  std::shared_ptr<const void> owner) {
  const auto options = at::TensorOptions().dtype(entry.type);
  if (bytes.empty()) return at::empty(entry.shape, options);
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  if (address % c10::elementSize(entry.type) != 0) {
    at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
    return copy;
  }
  return at::from_blob(
      const_cast<std::byte*>(bytes.data()), entry.shape,
      [owner = std::move(owner)](void*) {}, options);
}

StatusOr<Safetensors> Parse(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() < kLengthBytes) {
    return InvalidArgument("{} bytes are too few for a safetensors file",
                           bytes.size());
  }
  const uint64_t header_bytes = ReadLittleEndian64(bytes);
  const uint64_t limit =
      std::min<uint64_t>(bytes.size() - kLengthBytes, kMaxHeaderBytes);
  if (header_bytes > limit) {
    return InvalidArgument("the header length is {}, expected at most {}",
                           header_bytes, limit);
  }
  const auto data = bytes.subspan(kLengthBytes + header_bytes);
  TANDEM_ASSIGN_OR_RETURN(const Json header, ParseHeader(file.text().substr(
                                                 kLengthBytes, header_bytes)));
  Safetensors result;
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      TANDEM_RETURN_IF_ERROR(ParseMetadata(json, result.metadata));
      continue;
    }
    StatusOr<Entry> entry = ParseEntry(name, json, data.size());
    if (!entry.ok()) {
      return Annotate(entry.status(), fmt::format("tensor '{}'", name));
    }
    entries.push_back(*std::move(entry));
  }
  TANDEM_RETURN_IF_ERROR(CheckTiling(entries, data.size()));
  for (const Entry& entry : entries) {
    const auto span = data.subspan(entry.begin, entry.end - entry.begin);
    TANDEM_RETURN_IF_ERROR(CheckBooleans(entry, span));
    result.tensors[entry.name] = ViewOf(entry, span, file.owner());
  }
  return result;
}

}  // namespace

StatusOr<Safetensors> ReadSafetensors(const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  StatusOr<Safetensors> result = Parse(file);
  if (!result.ok()) return Annotate(result.status(), path.string());
  return result;
}

}  // namespace tandem
