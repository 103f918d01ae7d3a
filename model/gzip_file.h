// Gzip files, whole.
#ifndef TANDEM_MODEL_GZIP_FILE_H_
#define TANDEM_MODEL_GZIP_FILE_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/status.h"

namespace tandem {

// What the file unpacks to. NotFound or Internal where it cannot be read;
// InvalidArgument: no gzip file, damaged, cut off, or larger than `max_bytes`.
StatusOr<std::string> ReadGzipFile(const std::filesystem::path& path,
                                   int64_t max_bytes);

}  // namespace tandem

#endif  // TANDEM_MODEL_GZIP_FILE_H_
