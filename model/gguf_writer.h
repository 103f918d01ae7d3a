// Writes GGUF version 3, little-endian, 32-byte alignment.
#ifndef TANDEM_MODEL_GGUF_WRITER_H_
#define TANDEM_MODEL_GGUF_WRITER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/ggml_blocks.h"

namespace tandem {

// Collects metadata and tensor descriptions, then writes the file in one pass
// that holds one tensor at a time. Keys and tensors keep the order in which
// they were added; the caller adds none twice.
class GgufWriter {
 public:
  void AddText(const std::string& key, std::string_view value);
  void AddUint32(const std::string& key, uint32_t value);
  void AddFloat32(const std::string& key, float value);
  void AddBool(const std::string& key, bool value);
  void AddTexts(const std::string& key, const std::vector<std::string>& values);
  void AddInt32s(const std::string& key, const std::vector<int32_t>& values);
  void AddFloat32s(const std::string& key, const std::vector<float>& values);

  // The tensor's encoded bytes, made when their turn comes; exactly as many as
  // shape and format say.
  using MakeBytes = std::function<StatusOr<std::string>()>;
  // shape: outermost first. REQUIRES: rows are whole blocks of the format.
  void AddTensor(const std::string& name, const std::vector<int64_t>& shape,
                 const GgmlFormat& format, MakeBytes make_bytes);

  // Errors are those of WriteFileAtomically and of MakeBytes.
  Status Write(const std::filesystem::path& path) const;

 private:
  struct Tensor {
    uint64_t bytes;
    MakeBytes make_bytes;
  };
  void AddKey(const std::string& key, uint32_t type);

  uint64_t keys_ = 0;
  std::string metadata_;      // encoded
  std::string tensor_infos_;  // encoded
  std::vector<Tensor> tensors_;
  uint64_t data_bytes_ = 0;  // padded
};

}  // namespace tandem

#endif  // TANDEM_MODEL_GGUF_WRITER_H_
