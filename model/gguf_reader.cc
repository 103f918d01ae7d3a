#include "model/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string_view>
#include <type_traits>

#include "common/files.h"
#include "model/gguf_value_type.h"

namespace tandem {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = 1 << 20;
constexpr uint32_t kMaxDimensions = 4;
// The smallest entries that a count can stand for: an empty key, a type and a
// byte; an empty name, one dimension, a type and an offset.
constexpr uint64_t kMinKeyValueBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

// Reads from the front of a buffer; never past its end.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}
  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  template <typename T>
  StatusOr<T> Read(std::string_view what) {
    static_assert(std::endian::native == std::endian::little);
    if (left() < sizeof(T)) return TooShort(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  StatusOr<std::string> ReadText(std::string_view what) {
    TANDEM_ASSIGN_OR_RETURN(const auto size, Read<uint64_t>(what));
    if (left() < size) return TooShort(what, size);
    const auto* begin =
        reinterpret_cast<const char*>(bytes_.data() + position_);
    position_ += size;
    return std::string(begin, size);
  }

  // A count of things that take at least `min_bytes` each.
  StatusOr<uint64_t> ReadCount(std::string_view what, uint64_t min_bytes) {
    TANDEM_ASSIGN_OR_RETURN(const auto count, Read<uint64_t>(what));
    if (count > left() / min_bytes) {
      return InvalidArgument("the {} is {}, more than the {} bytes left hold",
                             what, count, left());
    }
    return count;
  }

 private:
  Status TooShort(std::string_view what, uint64_t wanted) const {
    return InvalidArgument(
        "cut short in the {}: {} bytes wanted at {}, {} left", what, wanted,
        position_, left());
  }
  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

// The double with the float's shortest decimal form: 1e-05f means 1e-05, not
// 9.999999747378752e-06.
double AsWritten(float value) {
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

// The widest type of a scalar's kind.
template <typename T>
auto Widen(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return AsWritten(value);
  } else if constexpr (std::is_same_v<T, double>) {
    return value;
  } else if constexpr (std::is_unsigned_v<T>) {
    return static_cast<uint64_t>(value);
  } else {
    return static_cast<int64_t>(value);
  }
}

template <typename T>
StatusOr<GgufValue> ReadScalar(Cursor& cursor) {
  TANDEM_ASSIGN_OR_RETURN(const T value, cursor.Read<T>("value"));
  return GgufValue(Widen(value));
}

template <typename T>
StatusOr<GgufValue> ReadScalars(Cursor& cursor, uint64_t count) {
  if (count > cursor.left() / sizeof(T)) {
    return InvalidArgument(
        "an array of {} values does not fit the {} bytes left", count,
        cursor.left());
  }
  using Wide = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
  std::vector<Wide> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const T value, cursor.Read<T>("array"));
    if (std::is_same_v<T, uint64_t> && value > static_cast<T>(INT64_MAX)) {
      return InvalidArgument("array value {} is beyond 63 bits", value);
    }
    values.push_back(static_cast<Wide>(value));
  }
  return GgufValue(std::move(values));
}

StatusOr<GgufValue> ReadTexts(Cursor& cursor, uint64_t count) {
  if (count > cursor.left() / sizeof(uint64_t)) {
    return InvalidArgument(
        "an array of {} strings does not fit the {} bytes "
        "left",
        count, cursor.left());
  }
  std::vector<std::string> texts;
  texts.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    TANDEM_ASSIGN_OR_RETURN(std::string text, cursor.ReadText("string array"));
    texts.push_back(std::move(text));
  }
  return GgufValue(std::move(texts));
}

StatusOr<GgufValue> ReadBool(Cursor& cursor) {
  TANDEM_ASSIGN_OR_RETURN(const auto value, cursor.Read<uint8_t>("value"));
  if (value > 1) return InvalidArgument("a bool has the value {}", value);
  return GgufValue(value == 1);
}

StatusOr<GgufValue> ReadArray(Cursor& cursor) {
  TANDEM_ASSIGN_OR_RETURN(const auto type, cursor.Read<uint32_t>("array type"));
  TANDEM_ASSIGN_OR_RETURN(const auto count,
                          cursor.Read<uint64_t>("array length"));
  switch (type) {
    case gguf::kUint8:
    case gguf::kBool:
      return ReadScalars<uint8_t>(cursor, count);
    case gguf::kInt8:
      return ReadScalars<int8_t>(cursor, count);
    case gguf::kUint16:
      return ReadScalars<uint16_t>(cursor, count);
    case gguf::kInt16:
      return ReadScalars<int16_t>(cursor, count);
    case gguf::kUint32:
      return ReadScalars<uint32_t>(cursor, count);
    case gguf::kInt32:
      return ReadScalars<int32_t>(cursor, count);
    case gguf::kUint64:
      return ReadScalars<uint64_t>(cursor, count);
    case gguf::kInt64:
      return ReadScalars<int64_t>(cursor, count);
    case gguf::kFloat32:
      return ReadScalars<float>(cursor, count);
    case gguf::kFloat64:
      return ReadScalars<double>(cursor, count);
    case gguf::kString:
      return ReadTexts(cursor, count);
    default:
      return InvalidArgument("arrays of type {} are not supported", type);
  }
}

StatusOr<GgufValue> ReadValue(Cursor& cursor) {
  TANDEM_ASSIGN_OR_RETURN(const auto type, cursor.Read<uint32_t>("value type"));
  switch (type) {
    case gguf::kUint8:
      return ReadScalar<uint8_t>(cursor);
    case gguf::kInt8:
      return ReadScalar<int8_t>(cursor);
    case gguf::kUint16:
      return ReadScalar<uint16_t>(cursor);
    case gguf::kInt16:
      return ReadScalar<int16_t>(cursor);
    case gguf::kUint32:
      return ReadScalar<uint32_t>(cursor);
    case gguf::kInt32:
      return ReadScalar<int32_t>(cursor);
    case gguf::kUint64:
      return ReadScalar<uint64_t>(cursor);
    case gguf::kInt64:
      return ReadScalar<int64_t>(cursor);
    case gguf::kFloat32:
      return ReadScalar<float>(cursor);
    case gguf::kFloat64:
      return ReadScalar<double>(cursor);
    case gguf::kBool:
      return ReadBool(cursor);
    case gguf::kString: {
      TANDEM_ASSIGN_OR_RETURN(std::string text, cursor.ReadText("value"));
      return GgufValue(std::move(text));
    }
    case gguf::kArray:
      return ReadArray(cursor);
    default:
      return InvalidArgument("the value type {} is unknown", type);
  }
}

Status ReadMetadata(Cursor& cursor, uint64_t count, GgufFile& file) {
  for (uint64_t i = 0; i < count; ++i) {
    TANDEM_ASSIGN_OR_RETURN(std::string key, cursor.ReadText("key"));
    StatusOr<GgufValue> value = ReadValue(cursor);
    if (!value.ok()) {
      return Annotate(value.status(), fmt::format("key '{}'", key));
    }
    if (!file.metadata.emplace(key, *std::move(value)).second) {
      return InvalidArgument("key '{}' is there twice", key);
    }
  }
  return OkStatus();
}

// A tensor's place, before its bytes are known to exist.
struct TensorInfo {
  std::string name;
  GgufTensor tensor;
  uint64_t bytes = 0, offset = 0;
};

StatusOr<std::vector<int64_t>> ReadShape(Cursor& cursor) {
  TANDEM_ASSIGN_OR_RETURN(const auto dimensions,
                          cursor.Read<uint32_t>("number of dimensions"));
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    return InvalidArgument("{} dimensions, expected 1 to {}", dimensions,
                           kMaxDimensions);
  }
  std::vector<int64_t> shape(dimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const auto size, cursor.Read<int64_t>("shape"));
    if (size < 1) {
      return InvalidArgument("dimension {} is {}, expected at least 1", i,
                             size);
    }
    shape[dimensions - 1 - i] = size;  // the file has the innermost first
  }
  return shape;
}

StatusOr<uint64_t> ByteSize(const GgufTensor& tensor) {
  if (tensor.shape.back() % tensor.format->block_values != 0) {
    return InvalidArgument("rows of {} do not divide into {}'s blocks of {}",
                           tensor.shape.back(), tensor.format->name,
                           tensor.format->block_values);
  }
  int64_t values = 1, bytes = 0;
  bool overflow = false;
  for (const int64_t size : tensor.shape) {
    overflow |= __builtin_mul_overflow(values, size, &values);
  }
  overflow |= __builtin_mul_overflow(values / tensor.format->block_values,
                                     tensor.format->block_bytes, &bytes);
  overflow |= values > INT64_MAX / static_cast<int64_t>(sizeof(float));
  if (overflow) {
    return InvalidArgument("shape [{}] overflows 64 bits",
                           fmt::join(tensor.shape, ", "));
  }
  return static_cast<uint64_t>(bytes);
}

Status ReadTensorInfo(Cursor& cursor, TensorInfo& info) {
  TANDEM_ASSIGN_OR_RETURN(info.tensor.shape, ReadShape(cursor));
  TANDEM_ASSIGN_OR_RETURN(const auto type,
                          cursor.Read<uint32_t>("tensor type"));
  info.tensor.format = FindGgmlFormat(type);
  if (info.tensor.format == nullptr) {
    return InvalidArgument("tensor type {} is not one of {}", type,
                           KnownGgmlTypes());
  }
  TANDEM_ASSIGN_OR_RETURN(info.offset, cursor.Read<uint64_t>("offset"));
  TANDEM_ASSIGN_OR_RETURN(info.bytes, ByteSize(info.tensor));
  return OkStatus();
}

StatusOr<std::vector<TensorInfo>> ReadTensorInfos(Cursor& cursor,
                                                  uint64_t count) {
  std::vector<TensorInfo> infos;
  std::set<std::string> names;
  for (uint64_t i = 0; i < count; ++i) {
    TensorInfo info;
    TANDEM_ASSIGN_OR_RETURN(info.name, cursor.ReadText("tensor name"));
    TANDEM_RETURN_IF_ERROR(Annotate(ReadTensorInfo(cursor, info),
                                    fmt::format("tensor '{}'", info.name)));
    if (!names.insert(info.name).second) {
      return InvalidArgument("tensor '{}' is there twice", info.name);
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

uint64_t RoundUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Hands out the data section: each tensor begins where the one before it ends,
// rounded up.
Status PlaceTensors(std::vector<TensorInfo> infos,
                    std::span<const std::byte> data, uint64_t alignment,
                    GgufFile& file) {
  std::sort(infos.begin(), infos.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  uint64_t expected = 0;
  for (TensorInfo& info : infos) {
    if (info.offset != expected) {
      return InvalidArgument(
          "tensor '{}' has the offset {}, expected {} (unaligned, overlapping "
          "or after a gap)",
          info.name, info.offset, expected);
    }
    if (info.offset > data.size() || info.bytes > data.size() - info.offset) {
      return InvalidArgument(
          "tensor '{}' of {} bytes at offset {} passes the end of {} bytes of "
          "data",
          info.name, info.bytes, info.offset, data.size());
    }
    expected = RoundUp(info.offset + info.bytes, alignment);
    info.tensor.data = data.subspan(info.offset, info.bytes);
    file.tensors.emplace(std::move(info.name), std::move(info.tensor));
  }
  return OkStatus();
}

StatusOr<uint64_t> Alignment(const GgufFile& file) {
  constexpr auto kKey = "general.alignment";
  if (!file.Has(kKey)) return kDefaultAlignment;
  TANDEM_ASSIGN_OR_RETURN(const int64_t value,
                          file.Integer(kKey, 1, kMaxAlignment));
  if (!std::has_single_bit(static_cast<uint64_t>(value))) {
    return InvalidArgument("key '{}' is {}, expected a power of two", kKey,
                           value);
  }
  return static_cast<uint64_t>(value);
}

Status CheckMagicAndVersion(Cursor& cursor) {
  TANDEM_ASSIGN_OR_RETURN(const auto magic, cursor.Read<uint32_t>("magic"));
  if (magic != 0x46554747) {  // "GGUF"
    return InvalidArgument("not a GGUF file (it begins with {:#010x})", magic);
  }
  TANDEM_ASSIGN_OR_RETURN(const auto version, cursor.Read<uint32_t>("version"));
  if (version != 2 && version != 3) {
    return InvalidArgument("GGUF version {}, expected 2 or 3 (little-endian)",
                           version);
  }
  return OkStatus();
}

Status Parse(std::span<const std::byte> bytes, GgufFile& file) {
  Cursor cursor(bytes);
  TANDEM_RETURN_IF_ERROR(CheckMagicAndVersion(cursor));
  TANDEM_ASSIGN_OR_RETURN(
      const auto tensors,
      cursor.ReadCount("number of tensors", kMinTensorBytes));
  TANDEM_ASSIGN_OR_RETURN(
      const auto keys, cursor.ReadCount("number of keys", kMinKeyValueBytes));
  TANDEM_RETURN_IF_ERROR(ReadMetadata(cursor, keys, file));
  TANDEM_ASSIGN_OR_RETURN(const uint64_t alignment, Alignment(file));
  TANDEM_ASSIGN_OR_RETURN(std::vector<TensorInfo> infos,
                          ReadTensorInfos(cursor, tensors));
  const uint64_t begin = RoundUp(cursor.position(), alignment);
  const auto data = bytes.subspan(std::min<uint64_t>(begin, bytes.size()));
  return PlaceTensors(std::move(infos), data, alignment, file);
}

}  // namespace

StatusOr<GgufFile> ReadGguf(const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  GgufFile file;
  file.name = path.string();
  file.mapping = mapped.owner();
  TANDEM_RETURN_IF_ERROR(Annotate(Parse(mapped.bytes(), file), file.name));
  return file;
}

}  // namespace tandem
