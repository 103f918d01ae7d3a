// The GGUF container, versions 2 and 3, little-endian
// (ggml-org/llama.cpp:ggml/include/gguf.h): metadata and tensors, not what they
// mean. Nothing in a file is trusted.
#ifndef TANDEM_MODEL_GGUF_READER_H_
#define TANDEM_MODEL_GGUF_READER_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/status.h"
#include "model/ggml_blocks.h"

namespace tandem {

// A metadata value. All widths of integers and floats are read as the widest.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string,
                               std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

struct GgufTensor {
  const GgmlFormat* format = nullptr;
  std::vector<int64_t> shape;       // [rows, ..., columns]: outermost first
  std::span<const std::byte> data;  // into the mapped file
};

struct GgufFile {
  std::string name;  // the path, for messages
  std::map<std::string, GgufValue> metadata;
  std::map<std::string, GgufTensor> tensors;
  std::shared_ptr<const void> mapping;

  // Typed access. InvalidArgument, naming the key: missing, of another type, or
  // out of [minimum, maximum].
  StatusOr<int64_t> Integer(const std::string& key, int64_t minimum,
                            int64_t maximum) const;
  StatusOr<double> Number(const std::string& key) const;
  StatusOr<std::string> Text(const std::string& key) const;
  StatusOr<std::vector<std::string>> Texts(const std::string& key) const;
  StatusOr<std::vector<int64_t>> Integers(const std::string& key) const;
  StatusOr<std::vector<double>> Numbers(const std::string& key) const;
  StatusOr<bool> Flag(const std::string& key, bool otherwise) const;
  bool Has(const std::string& key) const { return metadata.contains(key); }
};

// Maps the file. NotFound, or InvalidArgument with file and place: no GGUF, an
// unknown version, cut short, counts or lengths beyond the file, duplicate
// keys or tensors, unknown value or tensor types, shapes that overflow or do
// not divide into blocks, offsets that are unaligned, overlap, leave gaps or
// pass the end.
StatusOr<GgufFile> ReadGguf(const std::filesystem::path& path);

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_READER_H_
