#include "model/gguf_writer.h"

#include <bit>

#include "common/files.h"
#include "model/gguf_value_type.h"

namespace tandem {
namespace {

constexpr uint64_t kAlignment = 32;
constexpr uint32_t kVersion = 3;

template <typename T>
void Put(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutText(std::string& out, std::string_view text) {
  Put<uint64_t>(out, text.size());
  out += text;
}

std::string Padding(uint64_t size) {
  return std::string((kAlignment - size % kAlignment) % kAlignment, '\0');
}

}  // namespace

void GgufWriter::AddKey(const std::string& key, uint32_t type) {
  ++keys_;
  PutText(metadata_, key);
  Put(metadata_, type);
}

void GgufWriter::AddText(const std::string& key, std::string_view value) {
  AddKey(key, gguf::kString);
  PutText(metadata_, value);
}

void GgufWriter::AddUint32(const std::string& key, uint32_t value) {
  AddKey(key, gguf::kUint32);
  Put(metadata_, value);
}

void GgufWriter::AddFloat32(const std::string& key, float value) {
  AddKey(key, gguf::kFloat32);
  Put(metadata_, value);
}

void GgufWriter::AddBool(const std::string& key, bool value) {
  AddKey(key, gguf::kBool);
  Put<uint8_t>(metadata_, value);
}

void GgufWriter::AddTexts(const std::string& key,
                          const std::vector<std::string>& values) {
  AddKey(key, gguf::kArray);
  Put<uint32_t>(metadata_, gguf::kString);
  Put<uint64_t>(metadata_, values.size());
  for (const std::string& value : values) PutText(metadata_, value);
}

void GgufWriter::AddInt32s(const std::string& key,
                           const std::vector<int32_t>& values) {
  AddKey(key, gguf::kArray);
  Put<uint32_t>(metadata_, gguf::kInt32);
  Put<uint64_t>(metadata_, values.size());
  for (const int32_t value : values) Put(metadata_, value);
}

void GgufWriter::AddFloat32s(const std::string& key,
                             const std::vector<float>& values) {
  AddKey(key, gguf::kArray);
  Put<uint32_t>(metadata_, gguf::kFloat32);
  Put<uint64_t>(metadata_, values.size());
  for (const float value : values) Put(metadata_, value);
}

void GgufWriter::AddTensor(const std::string& name,
                           const std::vector<int64_t>& shape,
                           const GgmlFormat& format, MakeBytes make_bytes) {
  PutText(tensor_infos_, name);
  Put(tensor_infos_, static_cast<uint32_t>(shape.size()));
  int64_t values = 1;
  for (auto size = shape.rbegin(); size != shape.rend(); ++size) {
    Put(tensor_infos_, *size);
    values *= *size;
  }
  Put(tensor_infos_, static_cast<uint32_t>(format.type));
  Put(tensor_infos_, data_bytes_);
  const auto bytes =
      static_cast<uint64_t>(values / format.block_values * format.block_bytes);
  data_bytes_ += bytes + Padding(bytes).size();
  tensors_.push_back({bytes, std::move(make_bytes)});
}

Status GgufWriter::Write(const std::filesystem::path& path) const {
  std::string header = "GGUF";
  Put(header, kVersion);
  Put<uint64_t>(header, tensors_.size());
  Put(header, keys_);
  header += metadata_ + tensor_infos_;
  header += Padding(header.size());
  return WriteFileAtomically(path, [&](const AppendBytes& append) {
    TANDEM_RETURN_IF_ERROR(append(header));
    for (const Tensor& tensor : tensors_) {
      TANDEM_ASSIGN_OR_RETURN(std::string bytes, tensor.make_bytes());
      if (bytes.size() != tensor.bytes) {
        return Internal("{} bytes made for a tensor of {}", bytes.size(),
                        tensor.bytes);
      }
      bytes += Padding(bytes.size());
      TANDEM_RETURN_IF_ERROR(append(bytes));
    }
    return OkStatus();
  });
}

}  // namespace tandem
