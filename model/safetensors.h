// The safetensors format: u64 little-endian header length, JSON header {name:
// {dtype, shape, data_offsets}}, data. Nothing in a file is trusted: every
// offset, size and shape is checked before memory is touched.
#ifndef TANDEM_MODEL_SAFETENSORS_H_
#define TANDEM_MODEL_SAFETENSORS_H_

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "common/status.h"
#include "model/tensor_map.h"

namespace tandem {

struct Safetensors {
  TensorMap tensors;  // views into the mapped file: do not write to them
  std::map<std::string, std::string> metadata;
};

// Maps the file. F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL.
// InvalidArgument, naming the file and tensor: truncated, header longer than
// the file, malformed JSON, unknown dtype, negative or overflowing shape, size
// other than shape times dtype, offsets that overlap, leave gaps or pass the
// end.
StatusOr<Safetensors> ReadSafetensors(const std::filesystem::path& path);

// Tensors are written in the order of their names, header padded to 8 bytes;
// equal input gives equal bytes. Non-contiguous tensors are made contiguous,
// and those of another type than `dtype` converted to it, one at a time.
// Errors are those of WriteFileAtomically, InvalidArgument for other dtypes.
Status WriteSafetensors(const std::filesystem::path& path,
                        const TensorMap& tensors,
                        const std::map<std::string, std::string>& metadata = {},
                        std::optional<at::ScalarType> dtype = std::nullopt);

// The bytes that WriteSafetensors would write.
StatusOr<std::string> SerializeSafetensors(
    const TensorMap& tensors,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace tandem

#endif  // TANDEM_MODEL_SAFETENSORS_H_
