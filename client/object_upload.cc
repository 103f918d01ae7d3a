#include "client/object_upload.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace tandem {
namespace {

// Answers in a row that bring the upload no further than it has ever been.
constexpr int kMaxSetbacks = 16;

Status UploadOnce(std::string_view bytes, int64_t chunk_bytes,
                  const ChunkSink& sink) {
  const auto size = static_cast<int64_t>(bytes.size());
  TANDEM_ASSIGN_OR_RETURN(int64_t received, sink(0, {}));
  int64_t furthest = received;
  int setbacks = 0;
  while (received != size) {
    if (received < 0 || received > size || setbacks > kMaxSetbacks) {
      return DataLoss(
          "upload of {} bytes: the server says that it has {}, {} answers "
          "without progress",
          size, received, setbacks);
    }
    const auto chunk =
        bytes.substr(received, std::min(chunk_bytes, size - received));
    TANDEM_ASSIGN_OR_RETURN(received, sink(received, chunk));
    setbacks = received > furthest ? 0 : setbacks + 1;
    furthest = std::max(furthest, received);
  }
  return OkStatus();
}

}  // namespace

Status UploadObject(std::string_view bytes, int64_t chunk_bytes,
                    const ChunkSink& sink) {
  const Status status = UploadOnce(bytes, chunk_bytes, sink);
  if (status.code() != StatusCode::kInvalidArgument) return status;
  spdlog::warn("upload refused ({}); sending it once more", ToString(status));
  return UploadOnce(bytes, chunk_bytes, sink);
}

}  // namespace tandem
